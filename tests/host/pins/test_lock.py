"""The verb ``lock`` against origins on this machine: pip with a folder, git with a folder, a hub on loopback, a fake skopeo."""

import base64
import hashlib
import http.server
import json
import subprocess
import threading
import zipfile
from dataclasses import replace

import pytest

from runner.contract import first_answer
from runner.contract.announce import Announcer
from runner.contract.errors import InputError, Unreachable, UsageError
from runner.contract.files import sha256_of_file
from runner.host import paths
from runner.host.pins import compilation, pip_settings, presence, programs, resolve, silence, uv
from runner.host.pins.origins import container_registry, git, hub, package_index
from runner.host.readers import lockfile
from runner.host.stacks import requirements
from runner.host.verbs import lock as verb
from tests.support import hub as hub_server

REVISION = "648a475" + "0" * 33


@pytest.fixture(autouse=True)
def every_origin_is_asked():
    silence.forget()


@pytest.fixture
def lock_copy(tmp_path, monkeypatch):
    path = tmp_path / "versions.lock"
    path.write_bytes(paths.LOCK.read_bytes())
    monkeypatch.setattr(paths, "LOCK", path)
    monkeypatch.setattr(lockfile.read, "__defaults__", (path,))
    return path


@pytest.fixture
def hub_here(monkeypatch):
    """Serve one model; the client reads its endpoint when it is first imported, so the constant is set."""
    files = {"config.json": b"{}", "non-tp.pt": b"", "tp_00_00.bin": b"weights"}
    with hub_server.serve({("model", "microsoft/bloom-deepspeed-inference-fp16"): (REVISION, files)}) as (
        endpoint,
        log,
    ):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        yield log


def wheel(folder, name, version):
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\nRoot-Is-Purelib: true\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        record = ""
        for file, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{file},sha256={digest},{len(text)}\n"
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


def test_a_package_s_hash_is_that_of_the_file_that_pip_takes(tmp_path, monkeypatch):
    path = wheel(tmp_path, "kitsample", "1.5.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert package_index.package_sha256("kitsample", "1.5.0") == (sha256_of_file(path), False)
    with pytest.raises(InputError, match="the index, for kitsample 2.0: there is none"):
        package_index.package_sha256("kitsample", "2.0")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "source"

    def git(*arguments):
        command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()

    folder.mkdir()
    git("init", "--quiet", "--initial-branch=1.9.0")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    git("config", "uploadpack.allowFilter", "true")
    (folder / "file").write_text("content")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    return folder.as_uri(), git("rev-parse", "HEAD"), git("rev-parse", "HEAD^{tree}")


def test_a_commit_s_tree_is_read_from_git(repository):
    address, commit, tree = repository
    assert git.commit_tree(address, commit) == tree
    with pytest.raises(InputError, match="git, for file:.*: it has no such commit"):
        git.commit_tree(address, "1" * 40)


def test_a_branch_is_looked_up_and_may_be_absent(repository):
    address, commit, _ = repository
    assert git.branch_commit(address, "1.9.0") == commit
    assert git.branch_commit(address, "1.8.0") is None
    with pytest.raises(InputError, match="git, for .*: there is no such repository"):
        git.branch_commit(address + "-none", "1.9.0")


def test_a_short_revision_is_completed_by_the_hub(hub_here):
    name = "microsoft/bloom-deepspeed-inference-fp16"
    assert hub.revision_of("model", name, "648a475") == REVISION
    assert hub.revision_of("model", name, "1234567") is None
    with pytest.raises(InputError, match="the hub, for nobody/nothing: there is none"):
        hub.revision_of("model", "nobody/nothing", "648a475")


def test_a_program_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="git cannot be run: No such file or directory; install it"):
        git.branch_commit("https://example.invalid/x", "main")


SKOPEO = """#!/bin/sh
if [ "$1" = manifest-digest ]; then echo "sha256:$(sha256sum < "$2" | cut -d' ' -f1)"; exit; fi
case "$*" in *1.9.0-580) printf '{"schemaVersion": 2}';; *) echo "manifest unknown" >&2; exit 1;; esac
"""


def test_an_image_s_digest_is_that_of_its_manifest(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="skopeo is not installed"):
        container_registry.image_digest("vault.habana.ai/x", "1.9.0-580")
    (tmp_path / "skopeo").write_text(SKOPEO)
    (tmp_path / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert (
        container_registry.image_digest("vault.habana.ai/x", "1.9.0-580")
        == "sha256:" + hashlib.sha256(b'{"schemaVersion": 2}').hexdigest()
    )
    assert container_registry.image_digest("vault.habana.ai/x", "9") is None


def test_the_verb_writes_what_it_resolves_and_says_what_it_could_not_reach(lock_copy, hub_here, monkeypatch, capsys):
    others = len(lockfile.read(lock_copy).models) - 1
    with pytest.raises(
        InputError, match=f"{others} of the pins cannot be resolved as they stand"
    ):  # the hub here has one model
        verb.main(["--only", "hub"])
    assert lockfile.read(lock_copy).models["bloom-fp16"].revision == REVISION
    captured = capsys.readouterr()
    assert f"resolved: models.bloom-fp16.revision is {REVISION}" in captured.out
    assert f"[lock] 0 of {others + 1} questions about hub are answered; asking for models.bloom" in captured.err
    with pytest.raises(InputError):
        verb.main(["--only", "hub"])
    known = {"tp_00_00.bin": hashlib.sha256(b"weights").hexdigest()}
    assert lockfile.read(lock_copy).models["bloom-fp16"].files == known
    capsys.readouterr()

    def dead(repository, tag_or_digest):
        raise Unreachable("the registry, for x: no route")

    monkeypatch.setattr(container_registry, "image_digest", dead)
    monkeypatch.setattr(container_registry, "platform_digest", dead)
    stacks = lockfile.read(lock_copy).stacks.values()
    images = [image for stack in stacks for image in (stack.image, stack.interpreter) if image]
    open_images = sum(lockfile.UNRESOLVED in (image.digest, image.platform) for image in images)
    assert open_images
    with pytest.raises(Unreachable, match=f"{open_images} of the origins asked did not answer"):
        verb.main(["--only", "images"])
    captured = capsys.readouterr()
    assert "not reached: stacks.gaudi-1.9.image.digest: the registry, for x: no route" in captured.err
    assert "unresolved: stacks.gaudi-1.9.image.digest" in captured.out


def test_one_stack_alone_can_be_asked_for(lock_copy, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        container_registry, "image_digest", lambda repository, tag: asked.append(tag) or f"sha256:{'1a' * 32}"
    )
    verb.main(["--only", "images", "--stack", "gaudi-1.24"])
    assert asked == ["1.24.0-1007"]
    assert lockfile.read(lock_copy).stacks["gaudi-1.10"].image.digest == lockfile.UNRESOLVED
    with pytest.raises(InputError, match="no stack gaudi-9. Take one of gaudi-1.8, "):
        verb.main(["--stack", "gaudi-9"])


def test_what_is_resolved_is_not_asked_again(lock_copy):
    lock = lockfile.read(lock_copy)
    kinds = [kind for kind in resolve.KINDS if kind != "requirements"]
    asked = [question.where for kind in kinds for question in resolve.plan(lock, kind)]
    assert asked
    assert set(asked) <= set(resolve.unresolved(lock))


def test_locks_that_share_an_environment_agree():
    """cpu, host and dev are installed into one environment, one after the other, and mutation over it: none moves a package."""
    lock = lockfile.read()
    files = [
        lock.stacks["cpu"].requirements.file,
        *(lock.requirements[name].file for name in ("build", "host", "dev", "mutation")),
    ]
    versions = {}
    for file in files:
        for package, found in requirements.hashes_by_version((paths.ROOT / file).read_text()).items():
            versions.setdefault(package, []).append((file, set(found)))
    disagreeing = {package: found for package, found in versions.items() if len({frozenset(v) for _, v in found}) > 1}
    assert disagreeing == {}


def test_every_locked_package_has_hashes_and_none_is_the_vendor_s():
    lock = lockfile.read()
    # NVML's package is pinned for itself; what torch brings is not
    direct = {name for stack in lock.stacks.values() for name, pin in stack.packages.items() if pin.origin == "index"}
    for entry in lockfile.requirements_files(lock).values():
        pins = requirements.hashes_by_version((paths.ROOT / entry.file).read_text())
        assert pins
        assert all(hashes for versions in pins.values() for hashes in versions.values()), entry.file
        if "torch" not in pins:  # torch's own files are for images alone
            assert not set(pins) & set(requirements.EXCLUDED), entry.file
            assert not any(name.startswith(("nvidia-", "habana-")) for name in set(pins) - direct), entry.file


def test_direct_pins_stand_in_the_requirements_with_the_hash_of_the_lock():
    for name, stack in lockfile.read().stacks.items():
        pins = requirements.hashes_by_version((paths.ROOT / stack.requirements.file).read_text())
        for package, pin in stack.packages.items():
            if pin.origin == "index" and package != "torch":
                assert list(pins[package]) == [pin.version], (name, package)
                assert pin.sha256 in pins[package][pin.version], (name, package)


class Index(http.server.BaseHTTPRequestHandler):
    """An index of one package, in both forms of the API."""

    FILES = (("11", False), ("22", "broken"), ("33", True))

    def do_GET(self):
        if self.path == "/json/sample/":
            files = [
                {"filename": "x", "url": "x", "hashes": {"sha256": sha256 * 32}, "yanked": yanked}
                for sha256, yanked in self.FILES
            ]
            body = json.dumps({"meta": {"api-version": "1.1"}, "name": "sample", "files": files})
        elif self.path == "/html/sample/":
            told = {False: "", "broken": ' data-yanked="broken"', True: " data-yanked"}
            body = "".join(f'<a href="x#sha256={sha256 * 32}"{told[yanked]}>x</a>' for sha256, yanked in self.FILES)
        else:
            return self.send_error(404)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def index():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("form", ["json", "html"])
def test_the_files_of_an_index_are_known_by_hash_with_the_reason_of_a_withdrawal(index, form):
    assert package_index.index_files("sample", f"{index}/{form}") == {
        "11" * 32: None,
        "22" * 32: "broken",
        "33" * 32: "",
    }
    with pytest.raises(InputError, match="the index, for nothing: there is none .HTTP 404 Not Found."):
        package_index.index_files("nothing", f"{index}/{form}")


@pytest.mark.parametrize(
    "sha256, problem",
    [
        ("11", None),
        ("22", "1.0 was withdrawn: broken"),
        ("33", "1.0 was withdrawn: no reason given"),
        ("44", "the index has no file of 1.0 with a locked hash"),
    ],
)
def test_what_is_wrong_with_a_locked_package_is_said(index, sha256, problem):
    (one,) = requirements.read(f"sample==1.0 \\\n    --hash=sha256:{sha256 * 32}\n")
    assert presence.PackageIsThere(("x",), one, f"{index}/json").problem() == problem


def test_everything_pinned_is_asked_for_and_what_is_gone_is_said(repository, monkeypatch, capsys):
    """Nothing but a git repository is here, so the rest of the origins answer from a table."""
    address, commit, tree = repository
    lock = lockfile.read()
    for source in lock.sources:
        lock.sources[source] = lockfile.PinnedSource(address, commit, tree, None)
    lock.sources["post"] = lockfile.PinnedSource(address, commit, "0" * 40, None)
    monkeypatch.setattr(container_registry, "platform_digest", lambda repository, digest: digest)
    monkeypatch.setattr(hub, "has_revision", lambda kind, repository, revision: repository != "bigscience/bloom")
    monkeypatch.setattr(
        presence.PackageIsThere, "problem", lambda question: "gone" if question.pin.name == "filelock" else None
    )
    monkeypatch.setattr(presence.PackagesGoTogether, "problem", lambda question: None)
    with pytest.raises(InputError, match="What is gone"):
        verb.ask_presence(lock, None, None, Announcer(as_json=False))
    said = capsys.readouterr().out
    assert f"gone: sources.post.commit: its tree is {tree}, not {'0' * 40}" in said
    assert "gone: models.bloom.revision: the hub has no such revision" in said
    assert "gone: stacks.cpu.requirements.filelock: gone" in said
    assert said.count("gone: models.") == 1
    with pytest.raises(UsageError, match="--online goes with --check"):
        verb.main(["--online"])


def test_a_plan_holds_a_question_for_each_open_pin_and_asks_nothing():
    lock = lockfile.read()
    image = lock.stacks["gaudi-1.9"].image
    question = resolve.ImageDigest(("stacks", "gaudi-1.9", "image", "digest"), image.repository, image.tag)
    assert question in resolve.plan(lock, "images")
    assert resolve.plan(lock, "images", "gaudi-1.9") == [question]
    known = replace(image, digest=f"sha256:{'1a' * 32}")
    stack = replace(lock.stacks["gaudi-1.9"], image=known)
    next_lock = replace(lock, stacks={"gaudi-1.9": stack})
    (question,) = resolve.plan(next_lock, "images")
    assert question == resolve.PlatformDigest(
        ("stacks", "gaudi-1.9", "image", "platform"), known.repository, known.digest
    )
    files = [question.where[:-1] for question in resolve.plan(lock, "requirements")]
    assert files[0][0] == "stacks" and set(files) == set(lockfile.requirements_files(lock))


def test_a_plan_of_presence_holds_a_question_for_each_resolved_pin():
    lock = lockfile.read()
    wheres = [question.where for question in presence.plan(lock)]
    assert len(set(wheres)) == len(wheres) - sum(
        len(pins) - len({pin.name for pin in pins})
        for pins in (
            requirements.read((paths.ROOT / entry.file).read_text())
            for entry in lockfile.requirements_files(lock).values()
        )
    )
    assert not set(wheres) & set(resolve.unresolved(lock))
    for kind, table in (("git", lock.sources), ("hub", {**lock.models, **lock.datasets})):
        names = {where[1] for where in [question.where for question in presence.plan(lock, kind)]}
        assert names <= set(table) and names
    assert {where[:2] for where in [q.where for q in presence.plan(lock, None, "cpu")]} == {("stacks", "cpu")}


def test_a_compilation_says_what_is_asked_for_and_what_bounds_it():
    lock = lockfile.read()
    own = compilation.of_stack("cuda", lock.stacks["cuda"])
    assert set(requirements.TORCH_NEEDS) <= set(own.names)
    assert not any(name.startswith("torch==") for name in own.names)
    assert (own.bounds, own.platform) == ((), lock.stacks["cuda"].platform)
    assert "torch" in own.excluded
    torch = compilation.of_torch("cuda", lock.stacks["cuda"])
    assert torch.names == (f"torch=={lock.stacks['cuda'].packages['torch'].version}",)
    assert torch.excluded == ()
    assert "transformers" in torch.held_elsewhere
    assert any(line.startswith("transformers==") for line in torch.bounds)
    for name, bounded in (("host", True), ("py38", False)):
        made = compilation.of_own_file(lock, name)
        assert made.source == f"requirements/{name}.in"
        assert bool(made.bounds) is bounded
    assert compilation.of_own_file(lock, "build38").source == "requirements/build.in"
    assert "pypi-simple" in compilation.of_own_file(lock, "host").names


def test_an_origin_gets_a_few_seconds_for_its_first_answer_and_all_its_time_then(monkeypatch):
    monkeypatch.setenv(first_answer.VARIABLE, "3")
    with silence.asking("https://index.example") as first_s:
        assert first_s == 3
    with silence.asking("https://index.example") as first_s:
        assert first_s is None
    # a refusal is an answer
    with pytest.raises(InputError), silence.asking("https://other.example"):
        raise InputError("there is none")
    with silence.asking("https://other.example") as first_s:
        assert first_s is None
    silence.forget()
    with silence.asking("https://index.example") as first_s:
        assert first_s == 3


def test_a_long_question_comes_after_a_short_one(monkeypatch, tmp_path):
    asked = []

    def run(command, origin, given=None, timeout_s=programs.TIMEOUT_S, environment=None, meanings=()):
        asked.append((command, timeout_s))
        raise silence.NoAnswer(f"{origin}: no answer")

    monkeypatch.setattr(pip_settings, "_settings", dict)
    monkeypatch.setattr(programs, "run", run)
    with pytest.raises(silence.NoAnswer):
        git._ask("https://git.example/x", "fetch", "x", timeout_s=programs.DOWNLOAD_S)
    with pytest.raises(silence.NoAnswer):
        package_index.fetch_wheels(tmp_path / "r.txt", "3.12", ["linux"], tmp_path, "https://index.example")
    with pytest.raises(silence.NoAnswer):
        uv._resolve(tmp_path / "r.txt", "3.12", None, ["six"], [], str(tmp_path), "https://other.example")
    with pytest.raises(silence.NoAnswer):
        container_registry.manifest("registry.example/x:1")
    assert asked[0] == (
        ["git", "ls-remote", "--end-of-options", "https://git.example/x", "HEAD"],
        first_answer.DEFAULT_S,
    )
    assert "--timeout=3" in asked[1][0] and "--dry-run" in asked[1][0] and asked[1][0][-1] == "pip"
    assert "--default-index=https://other.example" in asked[2][0] and "--no-cache" in asked[2][0]
    assert "--command-timeout=3s" in asked[3][0]
    assert len(asked) == 4


def test_the_commit_of_a_tag_is_asked_for_at_its_repository(repository):
    address, commit, _ = repository
    lock = lockfile.read()
    name, source = next((name, source) for name, source in lock.sources.items() if source.tag is not None)
    asked = replace(source, repository=address, commit=lockfile.UNRESOLVED, tree=lockfile.UNRESOLVED)
    action = lockfile.PinnedAction("v1", lockfile.UNRESOLVED)
    opened = replace(lock, sources={name: asked}, actions={"owner/name/folder": action})
    questions = {question.where: question for question in resolve.plan(opened, "git")}
    assert questions["sources", name, "commit"] == resolve.TagCommit(("sources", name, "commit"), address, source.tag)
    of_action = questions["actions", "owner/name/folder", "commit"]
    assert (of_action.repository, of_action.tag) == ("https://github.com/owner/name", "v1")
    assert ("actions", "owner/name/folder", "commit") in resolve.unresolved(opened)
    # the repository has no such tag yet
    assert questions["sources", name, "commit"].ask() is None
    subprocess.run(["git", "-C", address.removeprefix("file://"), "tag", source.tag], check=True)
    assert questions["sources", name, "commit"].ask() == commit
