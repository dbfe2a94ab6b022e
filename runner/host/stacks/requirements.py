"""Read compiled requirements files strictly, and tell each stack's target and the packages that no file may hold."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.markers import InvalidMarker, Marker

from runner.contract import patterns
from runner.contract import requirements as contract
from runner.contract.errors import InputError
from runner.contract.requirements import Requirement
from runner.contract.text import printable

# Packages that never come from an index: the vendor's image brings its builds of torch and their parts, and torch's own wheel
# brings the CUDA libraries.
_VENDOR = ["habana-torch-plugin", "habana-torch-dataloader", "habana-media-loader", "torchvision", "torchaudio"]
_CUDA = ["cuda-bindings", "cuda-pathfinder", "cuda-toolkit", *(f"nvidia-{part}-cu11" for part in ("cublas", "cudnn"))]
_CUDA += ["nvidia-cuda-nvrtc-cu11", "nvidia-cuda-runtime-cu11", "nvidia-cuda-cupti", "nvidia-cuda-nvrtc"]
_CUDA += [f"nvidia-{part}-cu13" for part in ("cudnn", "cusparselt", "nccl", "nvshmem")]
_CUDA += [
    f"nvidia-{part}"
    for part in ("cublas", "cuda-runtime", "cufft", "cufile", "curand", "cusolver", "cusparse", "nvjitlink", "nvtx")
]
EXCLUDED = ("torch", "triton", "pytorch-triton", *_VENDOR, *_CUDA)

# The packages that torch 1.13 to 2.13 ask for. Torch is excluded, so uv does not find these needs by itself.
TORCH_NEEDS = ("filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec", "setuptools")

# The needs of what is built from a git source, by package and series: the vendor's DeepSpeed (requirements/requirements.txt there), and
# optimum-habana between two releases (setup.py there). No index has either, so uv does not find these needs by itself.
SOURCE_NEEDS: dict[str, dict[str, tuple[str, ...]]] = {
    "deepspeed": {"0.7": ("hjson", "ninja", "numpy", "packaging", "psutil", "py-cpuinfo", "pydantic<2", "tqdm")},
    "optimum-habana": {"1.5": ("accelerate", "diffusers>=0.12.0", "optimum", "transformers>=4.26.0")},
}

# Packages whose releases are source distributions only, in some stacks or in all; an image builds them beside its torch.
SOURCE_ONLY = ("deepspeed", "optimum")


def read(text: str, where: object = "requirements") -> list[Requirement]:
    """Return the requirements of a compiled file, in the file's order; ``where`` names the file in messages.

    Raises ``InputError`` for any line but ``NAME==VERSION`` with a marker and hashes: an option of pip, an address, a path.
    """
    parsed = contract.parse(text)
    refused = parsed.unknown + [(number, pin.text) for number, pin in parsed.requirements if not _is_usable(pin)]
    if refused:
        number, line = min(refused)
        first = line.splitlines()[0].strip()
        raise InputError(
            f"{where}:{number}: {printable(first, 200)!r} is no NAME==VERSION with hashes. Restore the file with"
            " `git checkout`, or run `python -m runner lock`."
        )
    return [requirement for _, requirement in parsed.requirements]


def _is_usable(requirement: Requirement) -> bool:
    """Return whether the name is normalised and without extras, and version and marker are of the form that uv writes."""
    return (
        patterns.PACKAGE.fullmatch(requirement.name)
        and patterns.VERSION.fullmatch(requirement.version)
        and _is_marker(requirement.marker)
    )


def _is_marker(text: str | None) -> bool:
    try:
        return text is None or bool(Marker(text))
    except InvalidMarker:
        return False


def hashes_by_version(text: str) -> dict[str, dict[str, set[str]]]:
    """Return package to version to sha256s of a compiled file. Raises as ``read`` does."""
    packages: dict[str, dict[str, set[str]]] = {}
    for requirement in read(text):
        versions = packages.setdefault(requirement.name, {})
        versions.setdefault(requirement.version, set()).update(requirement.hashes)
    return packages


def serves(requirement: Requirement, environment: Mapping[str, str]) -> bool:
    """Return whether a requirement's marker holds in an environment, such as ``{"python_full_version": "3.12.1"}``."""
    return requirement.marker is None or Marker(requirement.marker).evaluate(dict(environment))


def target_environment(python: str) -> dict[str, str]:
    """Return the markers' variables on Linux, x86-64, under CPython ``python``, such as 3.12.1."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
    }
