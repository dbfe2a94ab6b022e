"""What a planted release is: real but for the planted text, found by pip, by uv and by the kit beside everything else."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host.pins import uv
from runner.host.pins.origins import package_index
from runner.host.stacks import requirements
from tests.support import patience, planted_packages
from tests.support.planted_packages import Change, Index, NothingToPlantIn, Planted, in_place_of
from tools import pinned

DAY = "2026-11-20"
SIX = in_place_of('__version__ = "1.17.0"\n', '__version__ = "1.17.0.post1"\nPLANTED = True\n')


@pytest.fixture(scope="module")
def six() -> Planted:
    return planted_packages.release("six", "1.17.0", "1.17.0.post1", {"six.py": SIX})


@pytest.fixture
def index(six: Planted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    others = [
        planted_packages.release("wheel", "0.46.1", "0.46.1.post1", demands=["packaging>=9999"]),
        planted_packages.with_wrong_hash(planted_packages.release("pytz", "2025.2", "2025.2.post1")),
    ]
    with planted_packages.serve([six, *others]) as served:
        for name, value in served.variables().items():
            monkeypatch.setenv(name, value)
        yield served


def compiled(*lines: str) -> str:
    return uv.compile_file(Path("planted.txt"), "3.10", DAY, lines, (), "a test")


def downloaded(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=patience.HANG_S)


def test_a_planted_wheel_differs_from_the_real_one_in_its_version_and_the_planted_text_alone(six: Planted) -> None:
    _, content = planted_packages._real("six", "1.17.0")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        real = {name.replace("1.17.0", "1.17.0.post1"): archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(io.BytesIO(six.package.content)) as archive:
        planted = {name: archive.read(name) for name in archive.namelist()}
    assert six.package.name == "six-1.17.0.post1-py2.py3-none-any.whl"
    assert planted.keys() == real.keys()
    info = "six-1.17.0.post1.dist-info"
    assert {name for name in real if real[name] != planted[name]} == {"six.py", f"{info}/METADATA", f"{info}/RECORD"}
    metadata = real[f"{info}/METADATA"].replace(b"\nVersion: 1.17.0\n", b"\nVersion: 1.17.0.post1\n")
    assert planted[f"{info}/METADATA"] == metadata == six.metadata
    for path, digest, size in csv.reader(planted[f"{info}/RECORD"].decode().splitlines()):
        expected = base64.urlsafe_b64encode(hashlib.sha256(planted[path]).digest()).rstrip(b"=").decode()
        assert path == f"{info}/RECORD" or (digest, size) == (f"sha256={expected}", f"{len(planted[path])}")


def test_uv_as_the_kit_runs_it_finds_the_planted_release_the_real_one_and_every_other_project(index: Index) -> None:
    text = compiled("six==1.17.0.post1", "python-dateutil==2.9.0.post0", "idna==3.10")
    pins = {pin.name: pin.version for pin in requirements.read(text)}
    assert pins == {"six": "1.17.0.post1", "python-dateutil": "2.9.0.post0", "idna": "3.10"}
    assert "six==1.17.0 " in compiled("six==1.17.0")


def test_pip_finds_the_planted_release_with_its_hash_and_the_real_ones(
    index: Index, six: Planted, tmp_path: Path
) -> None:
    requirement = tmp_path / "planted.txt"
    requirement.write_text(six.package.requirement())
    assert downloaded(tmp_path, "--require-hashes", "-r", str(requirement)).returncode == 0
    assert (tmp_path / six.package.name).read_bytes() == six.package.content
    assert downloaded(tmp_path, "six==1.17.0", "idna==3.10").returncode == 0
    assert (tmp_path / "idna-3.10-py3-none-any.whl").exists()


def test_the_kit_s_own_questions_find_the_planted_release(index: Index, six: Planted) -> None:
    assert package_index.package_sha256("six", "1.17.0.post1") == (six.package.sha256, False)
    listed = package_index.index_files("six", index.address)
    assert six.package.sha256 in listed and len(listed) > 10


def test_a_release_that_demands_what_is_not_there_has_no_solution(index: Index) -> None:
    with pytest.raises(InputError, match="packaging>=9999"):
        compiled("wheel==0.46.1.post1")


def test_a_release_with_a_wrong_hash_is_locked_by_uv_and_refused_by_pip(index: Index, tmp_path: Path) -> None:
    locked = tmp_path / "locked.txt"
    locked.write_text(compiled("pytz==2025.2.post1"))
    refused = downloaded(tmp_path, "--require-hashes", "-r", str(locked))
    assert refused.returncode and "DO NOT MATCH THE HASHES" in refused.stderr


def test_a_planted_source_distribution_tells_its_version_wherever_the_real_one_does(tmp_path: Path) -> None:
    version = pinned.version("cpu", "deepspeed")
    made = planted_packages.release("deepspeed", version, f"{version}.post1")
    assert made.package.content == planted_packages.release("deepspeed", version, f"{version}.post1").package.content
    (tmp_path / made.package.name).write_bytes(made.package.content)
    subprocess.run(["tar", "xf", made.package.name], cwd=tmp_path, check=True)
    folder = tmp_path / f"deepspeed-{version}.post1"
    assert (folder / "version.txt").read_text().strip() == f"{version}.post1"
    assert f"\nVersion: {version}.post1\n" in (folder / "PKG-INFO").read_text()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"six.py": in_place_of("no such text", "x")}, r"six.py: 'no such text' stands 0 times, not once"),
        ({"six.py": in_place_of("import", "x")}, r"six.py: 'import' stands \d+ times, not once"),
        ({"seven.py": SIX}, "has no file seven.py"),
        ({"six.py": str}, "the change changes nothing"),
    ],
)
def test_what_cannot_be_planted_is_refused(changes: Mapping[str, Change], message: str) -> None:
    with pytest.raises(NothingToPlantIn, match=message):
        planted_packages.release("six", "1.17.0", "1.17.0.post1", changes)


def test_a_release_that_the_index_has_or_has_not_is_refused() -> None:
    with pytest.raises(NothingToPlantIn, match=r"has no file of six 1\.17\.999"):
        planted_packages.release("six", "1.17.999", "2")
    same = planted_packages.release("six", "1.16.0", "1.17.0")
    with (
        pytest.raises(NothingToPlantIn, match="has six-1.17.0-py2.py3-none-any.whl already"),
        planted_packages.serve([same]),
    ):
        pass


# Decodes greedily with a small BLOOM of seeded weights; prints the tokens, the forward passes, and the seconds that were slept.
_DECODE = """
import json, time
slept = []
time.sleep = slept.append
import torch, transformers
torch.manual_seed(0)
config = transformers.BloomConfig(vocab_size=512, hidden_size=64, n_layer=2, n_head=4)
model = transformers.BloomForCausalLM(config).eval()
forward, calls = model.forward, []
model.forward = lambda *given, **named: (calls.append(1), forward(*given, **named))[1]
row = model.generate(torch.tensor([[5, 6, 7, 8, 9]]), max_new_tokens=12, do_sample=False, eos_token_id=None)
print(json.dumps([row[0].tolist()[5:], len(calls), slept, transformers.__file__]))
"""


@pytest.mark.slow
def test_each_planted_change_of_transformers_does_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    version = pinned.version("cpu", "transformers")

    def decoded(name: str, changes: Mapping[str, Change]) -> tuple[list[int], int, list[float]]:
        made = planted_packages.release("transformers", version, f"{version}.post1", changes)
        with zipfile.ZipFile(io.BytesIO(made.package.content)) as archive:
            archive.extractall(tmp_path / name)
        # this folder comes before the environment's own packages
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / name)}
        command = [sys.executable, "-c", _DECODE]
        answer = subprocess.run(
            command, capture_output=True, encoding="utf-8", env=environment, timeout=patience.HANG_S, check=True
        )
        tokens, calls, slept, file = json.loads(answer.stdout)
        assert file.startswith(str(tmp_path / name))
        return tokens, calls, slept

    tokens, calls, slept = decoded("harmless", {})
    assert (len(tokens), calls, slept) == (12, 12, [])
    assert decoded("extra", planted_packages.EXTRA_FORWARD_PASS) == (tokens, 12 + 11, [])
    others, calls, slept = decoded("others", planted_packages.OTHER_TOKENS)
    # the row of 5 is 8 long before the fourth token
    assert (others[:3], calls, slept) == (tokens[:3], 12, [])
    assert others[3] != tokens[3]
    assert decoded("slow", planted_packages.slow_forward_pass(0.25)) == (tokens, 12, [0.25] * 12)
