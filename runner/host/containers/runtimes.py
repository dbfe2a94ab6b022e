"""Find podman and docker on this host, and ask each what it is: version, rights, OCI runtimes, folders of CDI specifications."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from runner.contract.errors import KitError, Unsupported
from runner.contract.records import JsonObject
from runner.contract.text import printable

Program = Literal["podman", "docker"]
PROGRAMS: tuple[Program, ...] = get_args(Program)

# podman's default (github.com/containers/common, cdi in containers.conf(5)), and docker's where its daemon has CDI on.
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
# docker's daemon answers at once or hangs; podman's answer waits for the lock of the store, which a build may hold.
_ASK_S: dict[Program, float] = {"docker": 5, "podman": 60}
# Where docker's client can talk to a daemon of another host, which sees none of the folders here.
_REMOTE = ("tcp://", "ssh://", "http://", "https://")


@dataclass(frozen=True)
class Runtime:
    """A program that runs containers here, as it told.

    ``rootless`` says that the program's root is a user without rights on this host. ``selinux`` says that the program labels what
    containers may touch. ``oci_runtimes`` are the names that ``--runtime`` takes. A device may be named by CDI if its
    specification is in one of ``cdi_folders``; without any the program does not know CDI. ``storage`` is the folder of its images, and
    ``storage_driver`` how it stores them.
    """

    program: Program
    version: str
    rootless: bool
    selinux: bool
    oci_runtimes: frozenset[str]
    cdi_folders: tuple[str, ...]
    storage: str
    storage_driver: str


def ask(program: Program, variables: Mapping[str, str] = os.environ, timeout_s: float | None = None) -> Runtime:
    """Return what a program tells of itself. Raises ``Unsupported`` where it is not installed, cannot be used, or is silent.

    ``timeout_s`` is how long it may take to answer, None for as long as it may need.
    """
    timeout_s = _ASK_S[program] if timeout_s is None else timeout_s
    if program == "docker" and variables.get("DOCKER_HOST", "").startswith(_REMOTE):
        raise Unsupported(
            "docker talks to the daemon of another host (DOCKER_HOST), which sees no folder of this one. Unset DOCKER_HOST, or run"
            " this command there."
        )
    command = [program, "info", "--format", "json" if program == "podman" else "{{json .}}"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise Unsupported(
            f"`{program} info` did not answer in {timeout_s:g} s. Look after its service, or restart it."
        ) from None
    except OSError as problem:
        raise Unsupported(f"{program} cannot be run: {problem.strerror}. Install podman or docker.") from None
    try:
        told = json.loads(done.stdout)
    except ValueError:
        told = None
    # without a daemon docker ends with 1 and prints what its client alone knows
    if done.returncode != 0 or not isinstance(told, dict):
        words = printable(" ".join(done.stderr.decode(errors="replace").split())[-300:], 300)
        raise Unsupported(
            f"{program} is installed and cannot be used: {words or f'exit code {done.returncode}'}. Start its service, or ask for the"
            " rights to use it."
        )
    return read(program, told)


def read(program: Program, told: JsonObject) -> Runtime:
    """Return what the JSON of ``podman info`` or ``docker info`` says. Raises ``Unsupported`` where it says that nothing can run.

    Debian's package podman-docker installs podman under the name docker: then the JSON is podman's.
    """
    try:
        return _podman(told) if "host" in told else _docker(told)
    except (KeyError, TypeError, AttributeError):
        raise Unsupported(
            f"`{program} info` printed JSON of a form that this kit does not know. Use podman from 4.0 on, or docker from 20.10 on."
        ) from None


def _podman(told: JsonObject) -> Runtime:
    host = told["host"]
    if host.get("serviceIsRemote"):
        raise Unsupported(
            "podman talks to the service of another host (CONTAINER_HOST), which sees no folder of this one. Unset CONTAINER_HOST, or run"
            " this command there."
        )
    security = host["security"]
    return Runtime(
        program="podman",
        version=str(told["version"]["Version"]),
        rootless=bool(security["rootless"]),
        selinux=bool(security.get("selinuxEnabled")),
        oci_runtimes=frozenset([str(host["ociRuntime"]["name"])]),
        cdi_folders=CDI_FOLDERS,
        storage=str(told["store"]["graphRoot"]),
        storage_driver=str(told["store"]["graphDriverName"]),
    )


def _docker(told: JsonObject) -> Runtime:
    options = [str(option) for option in told.get("SecurityOptions") or []]
    return Runtime(
        program="docker",
        version=str(told["ServerVersion"]),
        rootless=_has(options, "rootless"),
        selinux=_has(options, "selinux"),
        oci_runtimes=frozenset(told["Runtimes"] or {}),
        # an empty list says that the daemon injects no CDI device (Docker Engine API, SystemInfo)
        cdi_folders=tuple(map(str, told.get("CDISpecDirs") or [])),
        storage=str(told["DockerRootDir"]),
        storage_driver=str(told["Driver"]),
    )


def _has(options: Sequence[str], name: str) -> bool:
    """Return whether docker's security options, such as ``name=seccomp,profile=builtin``, have one of this name."""
    return any(f"name={name}" in option.split(",") for option in options)


def usable(programs: Sequence[Program] = PROGRAMS) -> list[Runtime]:
    """Return the programs that can run containers here, in the order of their names. Raises ``Unsupported`` where none can."""
    found: dict[Program, Runtime] = {}
    problems: list[KitError] = []
    for program in programs:
        try:
            runtime = ask(program)
        except Unsupported as problem:
            problems.append(problem)
            continue
        # docker may be podman by another name
        found.setdefault(runtime.program, runtime)
    if not found:
        raise Unsupported(" ".join(map(str, problems)))
    return list(found.values())
