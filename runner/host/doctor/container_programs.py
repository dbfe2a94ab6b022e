"""The programs that run containers on this host: podman and docker, their storage, and their hooks for devices.

The keys are those of ``podman info --format json`` and ``docker info --format '{{json .}}'``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.text import first_line, printable
from runner.host.doctor import disk
from runner.host.doctor.findings import Answer, Look, not_looked_at, not_ready, ready, warning
from runner.host.doctor.looking import ANSWER_S
from runner.host.doctor.needs import Need

Name = Literal["podman", "docker"]
NAMES: tuple[Name, ...] = ("podman", "docker")
_ARGUMENTS: dict[Name, tuple[str, ...]] = {
    "podman": ("info", "--format", "json"),
    "docker": ("info", "--format", "{{json .}}"),
}
# Where the Container Device Interface keeps its specifications (CNCF tags/container-device-interface, SPEC.md).
CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
_NVIDIA_KIND = "nvidia.com/gpu"
# The commands of NVIDIA's container toolkit and the page of Habana's container runtime.
_NVIDIA_REMEDY = {
    "podman": "`nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, from the package nvidia-container-toolkit.",
    "docker": "`nvidia-ctk runtime configure --runtime=docker`, then restart docker; from the package nvidia-container-toolkit.",
}
_HABANA_REMEDY = (
    "Install the package habanalabs-container-runtime and register it as the runtime habana in /etc/docker/daemon.json."
)


@dataclass(frozen=True)
class Program:
    """A program that runs containers, as it describes itself. ``problem`` says why this user cannot use it, None where one can."""

    name: Name
    version: str = "of an unknown version"
    driver: str = "unknown"
    storage: str = "/"
    runtimes: frozenset[str] = field(default_factory=frozenset)
    problem: str | None = None


class ContainerLooks:
    """The looks at the programs that run containers, in order: the first asks the programs."""

    def __init__(self, needs: Sequence[Need], cdi_folders: Sequence[Path] = CDI_FOLDERS) -> None:
        self._needs, self._cdi_folders = needs, cdi_folders
        self._programs: list[Program] = []

    def looks(self) -> list[Look]:
        """Return a look at the programs, one at the storage of each that is on the path, and one at the hooks for devices."""
        made = [Look("container", "podman or docker", self._usable)]
        made += [
            Look("container", f"storage of {name}", partial(self._storage, name))
            for name in NAMES
            if shutil.which(name)
        ]
        if any(not need.accelerator.in_request.is_the_host for need in self._needs):
            made.append(Look("container", "device hook", self._hook))
        return made

    def _usable(self) -> Answer:
        self._programs = [asked(name) for name in NAMES if shutil.which(name)]
        return usable(self._programs, self._needs)

    def _storage(self, name: Name) -> Answer:
        (program,) = (program for program in self._programs if program.name == name)
        return storage(program, self._needs)

    def _hook(self) -> Answer:
        return hook(self._programs, self._needs, self._cdi_folders)


def usable(programs: Sequence[Program], needs: Sequence[Need]) -> Answer:
    """Say which program this user can run containers with; a stack that exists only in an image needs one."""
    able = [program for program in programs if program.problem is None]
    if able:
        return ready(f"{' and '.join(f'{program.name} {program.version}' for program in able)}.")
    remedy = "`apt-get install podman runc`, or install docker and add yourself to its group."
    if programs:
        finding = "; ".join(f"{program.name}: {program.problem}" for program in programs) + "."
        remedy = "Start its daemon, or add yourself to the group docker; podman needs neither."
    else:
        finding = "Neither is on the path."
    needing = sorted({need.case.stack for need in needs if need.needs_an_image})
    if needing:
        return not_ready(f"{finding} The stack {', '.join(needing)} exists only in an image.", remedy)
    return warning(f"{finding} `make bench` needs neither.", remedy)


def storage(program: Program, needs: Sequence[Need]) -> Answer:
    """Say how a program stores images, and whether there is room."""
    if program.problem is not None:
        return not_looked_at(
            f"{program.name} cannot be used: {program.problem.rstrip('.')}.",
            f"Mend that, or leave {program.name} alone.",
        )
    if program.driver == "vfs":
        return warning(
            "Its driver is vfs, which copies the whole image for each container.",
            "Use the driver overlay: storage.conf of podman, or daemon.json of docker.",
        )
    return disk.for_images(needs, program.storage)


def hook(programs: Sequence[Program], needs: Sequence[Need], cdi_folders: Sequence[Path] = CDI_FOLDERS) -> Answer:
    """Say whether a program can hand the accelerators of the cases to a container."""
    kinds = {need.accelerator.in_request.device for need in needs} - {"cpu"}
    programs = [program for program in programs if program.problem is None]
    if not programs:
        return not_looked_at("No program that runs containers can be asked.", "Mend that first, then look again.")
    needing = any(need.needs_an_image for need in needs)
    for kind in sorted(kinds):
        hooks = [words for program in programs if (words := _hook_of(program, kind, cdi_folders)) is not None]
        if not hooks:
            remedy = _HABANA_REMEDY if kind == "hpu" else _NVIDIA_REMEDY[programs[0].name]
            finding = f"{' and '.join(program.name for program in programs)} cannot hand devices of kind {kind} to a container."
            return (
                not_ready(finding, remedy)
                if needing
                else warning(f"{finding} `make bench` needs no container.", remedy)
            )
    return ready(f"{', '.join(hooks)}.")


def _hook_of(program: Program, kind: str, cdi_folders: Sequence[Path]) -> str | None:
    """Return in words the hook by which a program hands out devices of a kind, None where it has none."""
    wanted = {"hpu": "habana", "cuda": "nvidia"}[kind]
    if wanted in program.runtimes:
        return f"{program.name} has the runtime {wanted}"
    if kind == "cuda" and _has_nvidia_specification(cdi_folders):
        return f"{program.name} finds {_NVIDIA_KIND} among the CDI specifications"
    return None


def _has_nvidia_specification(folders: Sequence[Path]) -> bool:
    for folder in folders:
        for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.json")]):
            try:
                if _NVIDIA_KIND in file.read_text(encoding="utf-8", errors="replace"):
                    return True
            except OSError:
                continue
    return False


def asked(name: Name) -> Program:
    """Return a program as it describes itself."""
    try:
        done = subprocess.run(
            [name, *_ARGUMENTS[name]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=ANSWER_S,
        )
    except subprocess.TimeoutExpired:
        return Program(name, problem=f"it did not answer within {ANSWER_S:g} s")
    except OSError as problem:
        return Program(name, problem=f"it cannot be run: {problem.strerror}")
    if done.returncode != 0:
        return Program(name, problem=first_line(done.stderr, 200) or f"it ended with exit code {done.returncode}")
    try:
        return _described(name, Fields(json.loads(done.stdout), f"{name} info"))
    except (ValueError, InputError):
        return Program(name, problem="it described itself in a form that nobody knows here")


def _described(name: Name, info: Fields) -> Program:
    """Return a program of its own description. Raises ``InputError`` for a description of another form."""
    if name == "docker":
        runtimes = info.fields("Runtimes").keys()
        version, driver, root = (info.text(key) for key in ("ServerVersion", "Driver", "DockerRootDir"))
    else:
        store = info.fields("store")
        runtimes = [info.fields("host").fields("ociRuntime").text("name")]
        version = info.fields("version").text("Version")
        driver, root = store.text("graphDriverName"), store.text("graphRoot")
    return Program(name, printable(version, 40), printable(driver, 40), root, frozenset(runtimes))
