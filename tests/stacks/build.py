"""Build the Gaudi stacks for real, less the vendor's binary parts: their Python, the pinned torch, upstream's packages as they are.

An environment is made from versions.lock, the stack's hash-locked requirements and requirements-STACK.txt of this folder, and
cached under a name that is a hash of them all. What stands in: a public DeepSpeed for the vendor's fork, unless
BLOOMZ_BENCH_DEEPSPEED names a folder or source distribution of the fork; torch's own build for the vendor's; a name in the list
of packages for habana-torch-plugin. What a stack takes from a commit is fetched from its repository, or from the clone that
BLOOMZ_BENCH_OPTIMUM_HABANA names; nothing stands in for it, so without the commit the stack is not built. The stand-in for
``habana_frameworks`` is not installed: tests put it on the path. The stack of 2023 for GPUs is built as it is locked, DeepSpeed's
kernels left uncompiled.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from runner.contract.errors import InputError, Unreachable, Unsupported
from runner.contract.records import JsonObject
from runner.host import paths
from runner.host.pins import uv
from runner.host.pins.origins import git
from runner.host.readers import lockfile
from runner.host.stacks import requirements

FOLDER = Path(__file__).parent
STAND_IN = paths.ROOT / "tests" / "emulation"
OVERRIDE = "BLOOMZ_BENCH_DEEPSPEED"
# Names a clone of the repository from which a stack takes optimum-habana, in place of the address that the lock has.
CLONE = "BLOOMZ_BENCH_OPTIMUM_HABANA"
COMPLETE = "complete.json"

# Of a GPU, and with releases that no Python of today's takes. Nothing in it is the vendor's own.
CUDA = ("cuda-2023",)

# How an environment is built, by number: a change that alters what comes out raises it.
RECIPE = 2

# What stands in for a fork of 2023 is of 2024; a stack whose own packages are newer goes up to their day.
COMPILED_UP_TO = "2024-09-30"


def names(device: str | None = None) -> list[str]:
    """Return the stacks that can be built, of one kind of device if it is named: those of a Gaudi, and ``CUDA``.

    A stack needs a compiled requirements-STACK.txt of this folder: ``bump`` adds a stack to the lock, and ``compile_requirements`` adds
    the file.
    """
    return [name for name, its in _kinds().items() if device in (None, its) and _own_requirements(name).exists()]


def _kinds() -> dict[str, str]:
    """Return the stacks for which there is a way to build them, with their kinds of devices."""
    stacks = lockfile.read().stacks
    return {name: stack.device for name, stack in stacks.items() if stack.device == "hpu" or name in CUDA}


def find(name: str) -> Path | None:
    """Return the folder of the finished environment of a stack as it is pinned now, or None."""
    folder = _folder(name)
    return folder if (folder / COMPLETE).exists() and python(folder).exists() else None


def python(folder: Path) -> Path:
    return folder / "bin" / "python"


def describe(folder: Path) -> JsonObject:
    """Return what was noted when the environment was finished: its packages and what stands in for what."""
    return json.loads((folder / COMPLETE).read_text(encoding="utf-8"))


def make(name: str, show: Callable[[str], object] = lambda text: None) -> Path:
    """Return the folder of a stack's environment, built if it is not there. One process builds, others wait for it."""
    folder = _folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder.with_name(folder.name + ".lock")):
        finished = find(name)
        if finished is None:
            if folder.exists():
                show(f"{name}: removing what an interrupted build left")
                shutil.rmtree(folder)
            _build(name, folder, show)
    return folder


def compile_requirements(name: str) -> Path:
    """Write requirements-STACK.txt of this folder: what its kind needs, with hashes, bound to the versions that the stack has."""
    stack = _stack(name, _kinds())
    target = _own_requirements(name)
    inputs = FOLDER / ("requirements-cuda.in" if name in CUDA else "requirements.in")
    bounds = [f"{package}=={version}" for package, version in _pins(paths.ROOT / stack.requirements.file).items()]
    text = uv.compile_file(
        target,
        stack.python,
        max(COMPILED_UP_TO, stack.requirements.exclude_newer),
        inputs.read_text(encoding="utf-8").splitlines(),
        bounds,
        inputs.name,
        "x86_64-manylinux_2_31",
    )
    lines = text.replace("`python -m runner lock`", "`python -m tests.stacks --compile`", 1)
    target.write_text(lines, encoding="utf-8")
    return target


def commits(name: str) -> dict[str, lockfile.PinnedSource]:
    """Return the packages of a stack that are built from a commit and have no stand-in, with their sources."""
    lock = lockfile.read()
    packages = lock.stacks[name].packages
    return {
        package: lock.sources[pin.source]
        for package, pin in packages.items()
        if pin.source is not None and package != "deepspeed"
    }


def _stack(name: str, known: Collection[str] | None = None) -> lockfile.PinnedStack:
    able = names() if known is None else known
    if name not in able:
        raise InputError(f"{name} is no stack that is built here. Take one of {', '.join(able)}.")
    return lockfile.read().stacks[name]


def _own_requirements(name: str) -> Path:
    return FOLDER / f"requirements-{name}.txt"


def _folder(name: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bloomz-bench" / "stacks"
    return cache / f"{name}-{_key(name)}"


def _key(name: str) -> str:
    """Return a hash of everything that an environment is built from."""
    stack = _stack(name)
    hashed = hashlib.sha256()
    torch = stack.packages["torch"].version
    trees = [source.tree for source in commits(name).values()]
    named = (
        RECIPE,
        stack.python,
        platform.machine(),
        torch,
        *_brought(stack),
        _release(stack),
        _override_key(),
        *trees,
    )
    for part in named:
        hashed.update(f"{part}\0".encode())
    for path in (paths.ROOT / stack.requirements.file, _own_requirements(name)):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:16]


def _brought(stack: lockfile.PinnedStack) -> list[str]:
    """Return, as requirement lines, what the vendor's image brings that an index has too, beside torch."""
    brought = {name: pin.version for name, pin in stack.packages.items() if pin.origin == "base"}
    return [f"{name}=={version}" for name, version in brought.items() if name not in ("torch", "habana-torch-plugin")]


def _release(stack: lockfile.PinnedStack) -> str:
    """Return the vendor's release, as the image's tag names it."""
    return stack.image.tag.split("-")[0]


def _override() -> Path | None:
    named = os.environ.get(OVERRIDE)
    if not named:
        return None
    path = Path(named)
    if not path.exists():
        raise InputError(
            f"{OVERRIDE} names {named}, which is not there. Name a folder or source distribution, or unset it."
        )
    return path


def _override_key() -> str:
    """Return a hash of the DeepSpeed that was named, file by file, or a dash."""
    path = _override()
    if path is None:
        return "-"
    files = (
        [path]
        if path.is_file()
        else sorted(entry for entry in path.rglob("*") if entry.is_file() and ".git" not in entry.parts)
    )
    hashed = hashlib.sha256()
    for file in files:
        hashed.update(f"{file.relative_to(path)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return hashed.hexdigest()


def _interpreter(version: str) -> str:
    """Return a real Python of a version such as 3.8, looked for where the Makefile looks for its 3.8."""
    variable, name = f"PYTHON{version.replace('.', '')}", f"python{version}"
    roots = [Path.home() / ".pyenv", *(Path(root) for root in [os.environ.get("PYENV_ROOT")] if root)]
    of_pyenv = [match for root in roots for match in sorted(glob.glob(f"{root}/versions/{version}.*/bin/python"))]
    for candidate in [os.environ.get(variable), shutil.which(name), *of_pyenv]:
        if candidate and _is(candidate, version):
            return candidate
    raise InputError(
        f"No Python {version} was found, and this stack has no other. Install it (pyenv install {version}), or name it"
        f" in {variable}."
    )


def _is(candidate: str, version: str) -> bool:
    test = f"import sys; sys.exit('{version}' != '%d.%d' % sys.version_info[:2])"
    with contextlib.suppress(OSError):
        return subprocess.run([candidate, "-c", test], capture_output=True).returncode == 0
    return False


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(name: str, folder: Path, show: Callable[[str], object]) -> None:
    stack = _stack(name)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unsupported(f"{name} can only be built on x86-64 Linux: its torch and its wheels exist for nothing else.")
    base, added, torch = paths.ROOT / stack.requirements.file, _own_requirements(name), stack.packages["torch"].version
    interpreter = _interpreter(stack.python)
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as scratch:
        # first, since it is small and may be out of reach
        trees = [_tree(name, package, source, Path(scratch)) for package, source in commits(name).items()]
        show(f"{name}: building in {folder} (about 4 GB, one to a few minutes)")
        subprocess.run([interpreter, "-m", "venv", str(folder)], check=True)
        pip = _Pip(name, folder, Path(scratch))
        show(f"{name}: 1/4 wheels of {paths.shown(base)} and {paths.shown(added)}")
        pip.locked([base, added], leave=requirements.SOURCE_ONLY)
        show(f"{name}: 2/4 torch {torch}, by its version alone, with the CUDA libraries that its wheel asks for")
        pip.bounded([f"torch=={torch}", *_brought(stack)], {**_pins(base), **_pins(added)})
        override = None if name in CUDA else _override()
        show(f"{name}: 3/4 what is a source distribution only")
        pip.locked(
            [base, added],
            only=[package for package in requirements.SOURCE_ONLY if not (override and package == "deepspeed")],
        )
        if override:
            show(f"{name}: 3/4 DeepSpeed of {OVERRIDE}")
            pip.source(override)
        for tree in trees:
            show(f"{name}: 3/4 {tree.name} of its commit")
            pip.source(tree)
    show(f"{name}: 4/4 the list of what is there")
    if name not in CUDA:
        _name_the_plugin(folder, _release(stack))
    _finish(name, folder, stack, override)
    show(f"{name}: done")


def _tree(name: str, package: str, source: lockfile.PinnedSource, scratch: Path) -> Path:
    """Return a folder below ``scratch`` with the tree of a commit. Raises ``Unreachable`` where the commit cannot be had."""
    folder = scratch / package
    folder.mkdir()
    repository = os.environ.get(CLONE) or source.repository
    try:
        git.export_tree(repository, source.commit, source.tree, folder)
    except (InputError, Unreachable) as problem:
        raise Unreachable(
            f"{name} cannot be built: it takes {package} from commit {source.commit[:12]} of {source.repository}, which was"
            f" not had from {repository}: {problem} Name a clone that holds the commit in {CLONE}."
        ) from problem
    return folder


class _Pip:
    """The pip of one environment, in its few forms. Raises ``Unreachable`` with pip's last lines."""

    def __init__(self, name: str, folder: Path, scratch: Path) -> None:
        self.name, self.folder, self.scratch = name, folder, scratch

    def locked(self, files: Sequence[Path], leave: Collection[str] = (), only: Collection[str] | None = None) -> None:
        """Install what files pin with hashes, without ``leave``, or ``only`` some packages of them, those from source."""
        chosen = self.scratch / "requirements.txt"
        # the stack's own word counts
        blocks = {package: text for file in reversed(files) for package, text in _blocks(file)}
        wanted = [text for package, text in blocks.items() if (package in only if only else package not in leave)]
        chosen.write_text("".join(wanted), encoding="utf-8")
        form = ["--only-binary", ":all:"]
        if only:
            # as a wheel, which lists its files: pip 23.0 else runs setup.py, and nobody can compare what is installed
            form += ["--no-binary", ",".join(only), "--no-build-isolation", "--use-pep517"]
        self._run(["--require-hashes", "--no-deps", *form, "-r", str(chosen)])

    def bounded(self, wanted: Sequence[str], pins: Mapping[str, str]) -> None:
        bounds = self.scratch / "constraints.txt"
        bounds.write_text("".join(f"{package}=={version}\n" for package, version in pins.items()), encoding="utf-8")
        self._run(["--only-binary", ":all:", "--constraint", str(bounds), *wanted])

    def source(self, path: Path) -> None:
        """Install from a folder or source distribution; a folder is copied first, so that nothing is written into it."""
        if path.is_dir():
            path = Path(
                shutil.copytree(path, self.scratch / f"{path.name}-copy", ignore=shutil.ignore_patterns(".git"))
            )
        self._run(["--no-deps", "--no-build-isolation", str(path)], PYTHONPATH=str(STAND_IN))

    def _run(self, arguments: Sequence[str], **variables: str) -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")},
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", "")]),
            "DS_BUILD_OPS": "0",
            "DS_ACCELERATOR": "cpu",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **variables,
        }
        command = [str(python(self.folder)), "-m", "pip", "install", "--quiet", *arguments]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", env=environment
        )
        if done.returncode != 0:
            lines = "\n".join(done.stdout.splitlines()[-8:])
            raise Unreachable(f"{self.name} could not be built; pip says:\n{lines}")


def _blocks(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (package, text) of each requirement of a compiled file."""
    package: str | None = None
    lines: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            if package:
                yield package, "".join(lines)
            package, lines = line.split("==")[0], []
        lines.append(line)
    if package:
        yield package, "".join(lines)


def _pins(file: Path) -> dict[str, str]:
    return {
        package: next(iter(versions))
        for package, versions in requirements.hashes_by_version(file.read_text(encoding="utf-8")).items()
    }


def _name_the_plugin(folder: Path, release: str) -> None:
    """Put the vendor's plugin on the list of packages: optimum-habana 1.6 asks pip for its version."""
    (packages,) = folder.glob("lib/python3.*/site-packages")
    info = packages / f"habana_torch_plugin-{release}.dist-info"
    info.mkdir()
    summary = "Stands for the vendor's package, which is not here: device hpu is emulated"
    metadata = f"Metadata-Version: 2.1\nName: habana-torch-plugin\nVersion: {release}\nSummary: {summary}\n"
    lines = []
    for file, text in {"METADATA": metadata, "INSTALLER": "bloomz-bench\n"}.items():
        (info / file).write_text(text, encoding="utf-8")
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{info.name}/{file},sha256={digest},{len(text)}\n")
    (info / "RECORD").write_text("".join([*lines, f"{info.name}/RECORD,,\n"]), encoding="utf-8")


def _finish(name: str, folder: Path, stack: lockfile.PinnedStack, override: Path | None) -> None:
    """Note what is there, as the last act: without this file an environment does not count."""
    listed = _ask(folder, "list", "--format", "json")
    complaints = _ask(folder, "check").splitlines()
    noted = {
        "stack": name,
        "python": subprocess.run([python(folder), "--version"], capture_output=True, encoding="utf-8").stdout.split()[
            1
        ],
        "packages": {package["name"].lower(): package["version"] for package in json.loads(listed)},
        "stand_ins": _stand_ins(name, stack, override),
        "pip_check": complaints,
    }
    temporary = folder / f".{COMPLETE}"
    temporary.write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / COMPLETE)


def _stand_ins(name: str, stack: lockfile.PinnedStack, override: Path | None) -> dict[str, str]:
    """Return what of a stack is not itself, and what stands for it."""
    if name in CUDA:
        return {"GPU": "tests/injection, this host's processor", "DeepSpeed's kernels": "tests/injection, in torch"}
    return {
        "habana_frameworks": "tests/emulation, device hpu is this host's processor",
        "habana-torch-plugin": f"its name and release {_release(stack)} alone",
        "torch": "the index's build for the vendor's",
        "deepspeed": "the fork that was named" if override else "a public release for the vendor's fork",
    }


def _ask(folder: Path, *arguments: str) -> str:
    command = [str(python(folder)), "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8").stdout
