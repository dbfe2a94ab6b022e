"""The resolver itself, with a folder of wheels for an index: what stays, what moves, and what contradicts itself."""

import base64
import functools
import hashlib
import http.server
import json
import threading
import zipfile
from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.pins import compilation, silence, uv
from runner.host.readers import lockfile
from runner.host.stacks import requirements

DAY = "2030-01-01"


class Index(http.server.SimpleHTTPRequestHandler):
    """The JSON of PEP 691, with the times that --exclude-newer needs, over a folder of wheels."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if not self.path.startswith("/simple/"):
            super().do_GET()
            return
        wheels = sorted(Path(self.directory).glob(f"{self.path.split('/')[2].replace('-', '_')}-*.whl"))
        listed = [
            {
                "filename": file.name,
                "url": f"/{file.name}",
                "hashes": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
                "upload-time": "2020-01-01T00:00:00Z",
            }
            for file in wheels
        ]
        body = json.dumps({"meta": {"api-version": "1.1"}, "name": "x", "files": listed}).encode()
        self.send_response(200 if wheels else 404)
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Return a function that puts a wheel into the only index there is."""
    folder = tmp_path / "index"
    folder.mkdir()
    silence.forget()
    handler = functools.partial(Index, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}/simple")
        monkeypatch.setenv("UV_NO_CACHE", "1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield functools.partial(put, folder)
        server.shutdown()
        thread.join()


def put(folder, name, version, *demands):
    info = f"{name}-{version}.dist-info"
    told = "".join(f"Requires-Dist: {demand}\n" for demand in demands)
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{told}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\nRoot-Is-Purelib: true\n",
    }
    record = ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for file, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{file},sha256={digest},{len(text)}\n"
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")


def compiled(names, before=None):
    text = uv.compile_file(Path("x.txt"), "3.10", DAY, names, [], "a test", before=before)
    return text, {one.name: one.version for one in requirements.read(text)}


def test_what_is_locked_stays_until_it_no_longer_fits(index):
    index("direct", "1.0", "below")
    index("below", "1.0")
    first, versions = compiled(["direct"])
    assert versions == {"direct": "1.0", "below": "1.0"}
    index("direct", "1.1", "below")
    index("below", "1.1")
    other = first.replace(next(iter(requirements.hashes_by_version(first)["direct"]["1.0"])), "1a" * 32)
    assert compiled(["direct"], other)[0] == other  # hashes stay too: an index may have got more files since
    assert compiled(["direct"])[1] == {"direct": "1.1", "below": "1.1"}
    assert compiled(["direct>1.0"], first)[1] == {"direct": "1.1", "below": "1.0"}


@pytest.mark.parametrize("names, told", [(["direct>=2"], "direct>=2"), (["nobody"], "nobody was not found")])
def test_what_has_no_solution_is_a_mistake_of_the_lock_and_not_of_the_network(index, names, told):
    index("direct", "1.0")
    with pytest.raises(InputError, match="these versions do not go together, or are not there") as caught:
        compiled(names)
    assert told in str(caught.value)


def test_a_package_that_demands_another_torch_than_the_base_s_is_found(index):
    index("asker", "1.0", "torch<2", "triton>=9", "numpy<2 ; extra == 'old'")
    index("numpy", "2.0")
    locked = requirements.read(compiled(["asker", "numpy"])[0])
    assert [one.name for one in locked] == ["asker", "numpy"]
    uv.refuse_contradictions("x.txt", "3.10", locked, {"torch": "1.13.1", "habana-torch-plugin": "1.9.0.580"})
    with pytest.raises(InputError, match="these versions do not go together") as caught:
        uv.refuse_contradictions("x.txt", "3.10", locked, {"torch": "2.0.1+git7"})
    assert "torch" in str(caught.value) and "asker" in str(caught.value)


def test_lock_writes_no_file_whose_pins_stay(index, tmp_path, monkeypatch):
    """The bytes stay, the head line and its words too, and an unresolved pin is compiled anew."""
    index("direct", "1.0")
    text, _ = compiled(["direct"])
    file = tmp_path / "requirements" / "x.txt"
    file.parent.mkdir()
    file.write_text("# head of another kind\n" + text.partition("\n")[2])
    file.with_suffix(".in").write_text("direct  # why\n")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    entry = lockfile.RequirementsFile("requirements/x.txt", DAY, "1a" * 32, "3.10", None)
    bare = lockfile.Lock({}, {"x": entry}, {}, {}, {}, {}, {}, {}, {})
    index("direct", "2.0")
    before = file.read_bytes()
    assert compilation.of_own_file(bare, "x").write() == hashlib.sha256(before).hexdigest()
    assert file.read_bytes() == before
    opened = lockfile.RequirementsFile("requirements/x.txt", DAY, lockfile.UNRESOLVED, "3.10", None)
    unlocked = lockfile.Lock({}, {"x": opened}, {}, {}, {}, {}, {}, {}, {})
    compilation.of_own_file(unlocked, "x").write()
    assert "direct==2.0" in file.read_text() and "head of another" not in file.read_text()
    for line in (
        "direct @ https://example.org/x.whl",
        "-r ../x.txt",
        "--index-url=https://x",
        "./x.whl",
        "d\u0456rect",
    ):
        file.with_suffix(".in").write_text(f"{line}\n")
        with pytest.raises(InputError, match=r"requirements/x.in:1: "):
            compilation.of_own_file(unlocked, "x").write()
