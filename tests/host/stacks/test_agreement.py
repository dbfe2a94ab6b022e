"""The lock and the requirements files: every version, every hash, and what packages demand of each other."""

import hashlib
import importlib.metadata
import os
import re
from dataclasses import replace

import pytest

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.readers import lockfile
from runner.host.stacks import agreement, requirements

HASH = "1a" * 32
LOCK = lockfile.read()
DATASETS = LOCK.stacks["cpu"].packages["datasets"]
TORCH = {name: LOCK.stacks[name].packages["torch"].version for name in ("cpu", "cuda")}
(PACKAGING,) = (
    pin.version
    for pin in requirements.read((paths.ROOT / "images/cpu/requirements-cpu.txt").read_text())
    if pin.name == "packaging"
)


@pytest.fixture
def root(tmp_path):
    for entry in lockfile.requirements_files(lockfile.read()).values():
        target = tmp_path / entry.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((paths.ROOT / entry.file).read_bytes())
    return tmp_path


def test_lock_and_files_agree_as_they_stand(root):
    assert list(agreement.problems(lockfile.read(), root)) == []


@pytest.mark.parametrize(
    "file, old, new, told",
    [
        (
            "images/gaudi/requirements-gaudi-1.9.txt",
            "transformers==4.28.1",
            "transformers==4.28.2",
            "transformers is 4.28.2, and",
        ),
        ("images/cpu/requirements-cpu.txt", "\ndatasets==", "\ndatasets-x==", "datasets is not here, and stacks.cpu"),
        (
            "images/cpu/requirements-cpu.txt",
            str(DATASETS.sha256),
            HASH,
            f"no hash of datasets {DATASETS.version} is the {DATASETS.sha256}",
        ),
        (
            "images/cpu/torch-cpu.txt",
            f"torch=={TORCH['cpu']}+cpu",
            "torch==2.0.0+cpu",
            "torch is 2.0.0, and stacks.cpu.packages.torch",
        ),
        (
            "images/cuda/torch-cuda.txt",
            f"\ntorch=={TORCH['cuda']}",
            "\ntorch==2.0.0",
            "torch is 2.0.0, and stacks.cuda.packages.torch",
        ),
        (
            "requirements/build.txt",
            f"\nwheel=={LOCK.tools['wheel']}",
            "\nwheel==0.1.0",
            f"wheel is 0.1.0, and versions.lock says {LOCK.tools['wheel']}",
        ),
        (
            "requirements/dev.txt",
            "\npluggy==",
            "\npackaging==1.0 \\\n    --hash=sha256:" + HASH + "\npluggy==",
            f"packaging is 1.0 and {PACKAGING}, and {PACKAGING} in images/cpu",
        ),
    ],
)
def test_every_version_and_hash_is_compared(root, file, old, new, told):
    path = root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    found = list(agreement.problems(lockfile.read(), root))
    assert any(line.startswith(f"{file}: ") and told in line for line in found), found


@pytest.mark.parametrize("name", ["torch", "triton", "nvidia-cublas-cu12", "habana-torch-plugin"])
def test_what_the_base_brings_stands_in_no_file(root, name):
    path = root / "images/gaudi/requirements-gaudi-1.9.txt"
    path.write_text(path.read_text() + f"{name}==2.0.1 \\\n    --hash=sha256:{HASH}\n")
    found = list(agreement.problems(lockfile.read(), root))
    assert any(f"{name} 2.0.1 stands here" in line for line in found)


def test_two_versions_of_one_package_and_a_package_without_hash_are_named(root):
    path = root / "images/cuda/torch-cuda.txt"
    path.write_text(path.read_text() + f"torch==2.0.0 \\\n    --hash=sha256:{HASH}\ntransformers==1.0\n")
    found = "\n".join(agreement.problems(lockfile.read(), root))
    assert f"torch-cuda.txt: torch stands twice, as {TORCH['cuda']} and 2.0.0" in found
    assert "torch-cuda.txt: transformers 1.0 has no hash" in found
    assert "torch-cuda.txt: transformers stands here and in images/cuda/requirements-cuda.txt" in found


def test_a_package_that_demands_another_torch_is_found_where_its_metadata_is_here(root, monkeypatch):
    one = next(
        one
        for one in requirements.read((root / "images/cpu/requirements-cpu.txt").read_text())
        if agreement.installed_demands(one)
    )
    real = importlib.metadata.distribution

    def demanding(name):
        found = real(name)
        if name == one.name:
            monkeypatch.setattr(type(found), "requires", property(lambda self: ["torch<2.0", "torch>9; extra == 'x'"]))
        return found

    monkeypatch.setattr(importlib.metadata, "distribution", demanding)
    lock = lockfile.read()
    only = replace(lock, stacks={"cpu": lock.stacks["cpu"]})
    told = f"images/cpu/requirements-cpu.txt: {one.name} {one.version} demands torch<2.0, and {TORCH['cpu']} is locked"
    assert told in list(agreement.problems(only, root))


@pytest.mark.parametrize(
    "demands, told",
    [
        (None, []),
        (["torch>=1.13"], []),
        (["torch==1.13.*"], []),
        (["torch>=2"], ["some 1.0 demands torch>=2, and 1.13.1 is locked"]),
        (["Torch (>=2)"], ["some 1.0 demands Torch>=2, and 1.13.1 is locked"]),
        (["torch>=2; python_version >= '3.9'"], []),
        (["torch>=2; python_version < '3.9'"], ["some 1.0 demands torch>=2, and 1.13.1 is locked"]),
        (["torch>=2; extra == 'gpu'"], []),
        (["transformers<4.28"], ["some 1.0 demands transformers<4.28, and 4.28.1 is locked"]),
        (["nobody-locks-this>=2"], []),
        (["torch @@ damaged"], []),
    ],
)
def test_a_demand_is_held_against_what_is_locked_and_what_the_base_brings(demands, told):
    stack = lockfile.read().stacks["gaudi-1.9"]
    (one,) = requirements.read(f"some==1.0 \\\n    --hash=sha256:{HASH}\n")
    assert list(agreement.Target.of(stack, [one]).contradicts(one, demands)) == told


@pytest.mark.parametrize(
    "line",
    [
        "six @ https://example.org/six.whl",
        "--index-url https://example.org/simple",
        "-r ../outside.txt",
        "../outside/six.whl",
        "six>=1.0",
        "s\u0456x==1.0",
        "six==1.0 --global-option=x",
        "six==1.0 ; import os",
        "    --hash=md5:1",
        "    --config-settings=x",
    ],
)
def test_a_line_that_is_more_than_a_version_is_refused_with_its_place(line):
    with pytest.raises(InputError, match=re.escape("x.txt:3: ")):
        requirements.read(f"# head\n\n{line}\n", "x.txt")


@pytest.mark.parametrize("kind", ["fifo", "folder", "missing", "changed", "binary"])
def test_a_requirements_file_that_is_not_the_locked_one_is_named(root, kind):
    path, lock = root / "requirements/host.txt", lockfile.read()
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("changed", "binary"):
        path.write_bytes(b"\xff\n")
    if kind == "binary":
        sha256 = hashlib.sha256(b"\xff\n").hexdigest()
        lock.requirements["host"] = replace(lock.requirements["host"], sha256=sha256)
    with pytest.raises(
        InputError, match=r"requirements/host.txt(: byte 0 is not UTF-8| is missing| was changed| cannot be read)"
    ):
        agreement.refuse_contradictions(lock, root)
