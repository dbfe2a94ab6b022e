"""Stand-ins for the pinned base images, made from Debian's packages: what a stack's own base has, less the vendor's binary parts."""

from __future__ import annotations

import hashlib
import inspect
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import distribution
from pathlib import Path

from runner.host import paths
from tests.stacks import build

EPOCH = "1700000000"

# Makes an image of the name that the recipe is given.
Recipe = Callable[[str], None]

# Libraries of a Python's own modules.
PYTHON_NEEDS = ("libssl3", "libffi8", "libsqlite3-0", "libbz2-1.0", "liblzma5", "libuuid1", "libstdc++6", "zlib1g")

# What the vendor's recipes install for several nodes, and to compile with; pdsh they install from 1.15.0 on.
# Source: HabanaAI/Setup_and_Install@1.9.0 dockerfiles/Dockerfile_ubuntu20.04_base_installer, @1.10.0
# dockerfiles/base/Dockerfile.ubuntu20.04, @1.15.0 and @1.22.0 dockerfiles/pytorch/Dockerfile.ubuntu.
VENDOR_PACKAGES = ("build-essential", "git", "openssh-client", "openssh-server")

# What the vendor's image brings: torch with what its wheel carries, and the name of the plugin.
VENDOR_PARTS = (
    "torch",
    "torchgen",
    "functorch",
    "nvfuser",
    "nvidia",
    "triton",
    "torch-*.dist-info",
    "nvidia_*_cu11-*.dist-info",
    "triton-*.dist-info",
    "habana_torch_plugin-*.dist-info",
)

# Debian's own files that no image needs; with them a base is twice the size.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def make(stack: str) -> str:
    """Return the local name of a stack's stand-in base, made if it is not there."""
    return _made(RECIPES[stack])


def interpreter_of(stack: str) -> str | None:
    """Return the local name of the image that a stack's Python is taken from, None where the base has it."""
    return _made(INTERPRETERS[stack]) if stack in INTERPRETERS else None


def _made(recipe: Recipe) -> str:
    tag = f"localhost/bloomz-bench/stand-in-{recipe.__name__}:{_key(recipe)}"
    if subprocess.run(["buildah", "inspect", "--type", "image", tag], capture_output=True).returncode != 0:
        recipe(tag)
    return tag


def slim(tag: str) -> None:
    """A slim image with Debian 12's Python 3.11 and a pip, as the one of python:3.12-slim-bookworm has 3.12."""
    debian(tag, "python3", "libstdc++6", add=[(_pip(), "/usr/local/lib/python3.11/dist-packages/pip")])


def python312(tag: str) -> None:
    """What python:3.12-bookworm has over a slim one, of which torch.compile needs a C compiler, headers and openssl."""
    debian(tag, *PYTHON_NEEDS, "build-essential", "ca-certificates", add=interpreter("3.12"))


def compiler(tag: str) -> None:
    """A base with a compiler and the libraries that a Python needs, and without a Python, as the real one."""
    debian(tag, *PYTHON_NEEDS, "g++")


def python310(tag: str) -> None:
    """An image whose Python is taken."""
    debian(tag, *PYTHON_NEEDS, add=interpreter("3.10"))


def vendor(tag: str) -> None:
    """The vendor's image less its binary parts: Python 3.8, the index's torch of the same release, the emulated modules."""
    name = "gaudi-1.10"
    environment = build.make(name)
    site = environment / "lib" / "python3.8" / "site-packages"
    packages = "/usr/local/lib/python3.8/site-packages/"
    parts = [path for part in VENDOR_PARTS for path in sorted(site.glob(part))]
    programs = [environment / "bin" / name for name in ("torchrun", "convert-caffe2-to-onnx", "convert-onnx-to-caffe2")]
    add = [(path, packages + path.name) for path in parts]
    add += [(path, f"/usr/local/bin/{path.name}") for path in programs if path.exists()]
    add += [(paths.ROOT / "tests" / "emulation" / "habana_frameworks", packages + "habana_frameworks")]
    # optimum-habana asks `pip list` for the plugin's version
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "pip"
        program.write_text(
            "#!/usr/local/bin/python3.8\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)
        add += [(program, "/usr/local/bin/pip")]
        debian(tag, *PYTHON_NEEDS, *VENDOR_PACKAGES, add=[*interpreter("3.8"), *add])


def _pip() -> Path:
    """Return the folder of this Python's pip, which is not imported: then setuptools would leave distutils to Python."""
    return Path(str(distribution("pip").locate_file("pip")))


def interpreter(version: str) -> list[tuple[Path, str]]:
    """Return what makes a pyenv's Python the one of /usr/local, as in the images of python."""
    folders = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*"))
    assert folders, f"no Python {version} was found. Install it (pyenv install {version})."
    folder = folders[-1]
    library = next((folder / "lib").glob("libpython3*.so.1.0"), None)
    add = [(folder / "bin" / f"python{version}", f"/usr/local/bin/python{version}")]
    add += [(folder / "bin" / f"python{version}", "/usr/local/bin/python3")]
    add += [
        (path, f"/usr/local/lib/python{version}/{path.name}")
        for path in (folder / "lib" / f"python{version}").iterdir()
        if path.name not in ("site-packages", "test", "__pycache__")
    ]
    packages = f"lib/python{version}/site-packages/pip"
    add += [(folder / packages, f"/usr/local/{packages}")]
    add += [(folder / "include" / f"python{version}", f"/usr/local/include/python{version}")]
    # where images copy it from, and where it is found without a run of ldconfig
    add += [(library, f"{place}/{library.name}") for place in ("/usr/local/lib", "/usr/lib") if library]
    return add


def debian(tag: str, *packages: str, add: Sequence[tuple[Path, str]] = ()) -> None:
    """Make an image of Debian 12 with ``packages``; ``add`` holds (folder here, folder there)."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "base.tar"
        leave = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
        include = f"--include={','.join(packages)}"
        command = ["mmdebstrap", "--quiet", "--variant=essential", include, *leave, "bookworm", str(archive)]
        subprocess.run(command, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": EPOCH})
        container = _buildah("from", "scratch")
        try:
            _buildah("add", "--quiet", container, str(archive), "/")
            if add:
                _buildah("copy", "--quiet", container, str(_tree(add, Path(folder) / "tree")), "/")
            _buildah("commit", "--quiet", "--timestamp", EPOCH, container, tag)
        finally:
            _buildah("rm", container)


def _tree(add: Sequence[tuple[Path, str]], folder: Path) -> Path:
    """Put everything under one folder, as it lies in the image; linked, since it is gigabytes."""
    for source, destination in add:
        target = folder / destination.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", "--link", "--dereference", str(source), str(target)], check=True)
    return folder


RECIPES = {"cpu": slim, "cuda": python312, "cuda-2023": compiler, "gaudi-1.10": vendor}
INTERPRETERS = {"cuda-2023": python310}


def _key(recipe: Recipe) -> str:
    """Return a hash of what a base is made by, and of the emulated modules, which change while its recipe does not."""
    hashed = hashlib.sha256("".join(map(inspect.getsource, (recipe, interpreter, debian))).encode())
    if recipe is vendor:
        for file in sorted((paths.ROOT / "tests" / "emulation" / "habana_frameworks").rglob("*.py")):
            hashed.update(file.read_bytes())
    return hashed.hexdigest()[:16]


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
