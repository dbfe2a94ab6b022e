"""The programs that run containers on this host: podman and docker, their storage, and their hooks for devices."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial

from runner.contract.errors import KitError, Unsupported
from runner.host.containers import hooks, runtimes
from runner.host.containers.runtimes import PROGRAMS, Program, Runtime
from runner.host.doctor import disk
from runner.host.doctor.findings import Answer, Look, not_looked_at, not_ready, ready, warning
from runner.host.doctor.looking import ANSWER_S
from runner.host.doctor.needs import Need

# The answer of each program that is on the path: what it tells of itself, or why this user cannot use it.
Told = Mapping[Program, "Runtime | KitError"]


class ContainerLooks:
    """The looks at the programs that run containers, in order: the first asks the programs."""

    def __init__(self, needs: Sequence[Need]) -> None:
        self._needs = needs
        self._told: dict[Program, Runtime | KitError] = {}

    def looks(self) -> list[Look]:
        """Return a look at the programs, one at the storage of each that is on the path, and one at the hooks for devices."""
        made = [Look("container", "podman or docker", self._usable)]
        here: list[Program] = [program for program in PROGRAMS if shutil.which(program)]
        made += [Look("container", f"storage of {program}", partial(self._storage, program)) for program in here]
        if any(not need.accelerator.in_request.is_the_host for need in self._needs):
            made.append(Look("container", "device hook", lambda: hook(self._told, self._needs)))
        return made

    def _usable(self) -> Answer:
        self._told.update({program: _asked(program) for program in PROGRAMS if shutil.which(program)})
        return usable(self._told, self._needs)

    def _storage(self, program: Program) -> Answer:
        return storage(self._told[program], self._needs)


def usable(told: Told, needs: Sequence[Need]) -> Answer:
    """Say which program this user can run containers with; a stack that cannot be installed on a host needs one."""
    able = [runtime for runtime in told.values() if isinstance(runtime, Runtime)]
    if able:
        return ready(f"{' and '.join(f'{runtime.program} {runtime.version}' for runtime in able)}.")
    finding = " ".join(map(str, told.values())) or "Neither is on the path."
    remedy = "Mend one of them, or install the other." if told else "`apt-get install podman runc`, or install docker."
    needing = sorted({need.case.stack for need in needs if not need.stack.runs_on_host})
    if needing:
        return not_ready(f"{finding} The stack {', '.join(needing)} runs in an image alone.", remedy)
    return warning(f"{finding} `make bench` needs neither.", remedy)


def storage(runtime: Runtime | KitError, needs: Sequence[Need]) -> Answer:
    """Say how a program stores images, and whether there is room."""
    if isinstance(runtime, KitError):
        finding, _, remedy = str(runtime).rpartition(". ")
        return not_looked_at(f"{finding.rstrip('.')}.", remedy)
    if runtime.storage_driver == "vfs":
        return warning(
            "Its driver is vfs, which copies the whole image for each container.",
            "Use the driver overlay: storage.conf of podman, or daemon.json of docker.",
        )
    return disk.for_images(needs, runtime.storage)


def hook(told: Told, needs: Sequence[Need]) -> Answer:
    """Say whether a program can hand the devices of the cases to a container."""
    able = [runtime for runtime in told.values() if isinstance(runtime, Runtime)]
    if not able:
        return not_looked_at("No program that runs containers can be asked.", "Mend that first, then look again.")
    asked = [need for need in needs if not need.accelerator.in_request.is_the_host]
    handing_out: list[str] = []
    for need in asked:
        problems, handing_out = [], []
        for runtime in able:
            try:
                hooks.words(runtime, hooks.look(runtime), need.accelerator.resource, need.case.devices)
                handing_out.append(runtime.program)
            except Unsupported as problem:
                problems.append(str(problem))
        if not handing_out:
            finding, _, remedy = problems[-1].partition(". ")
            return (warning if need.stack.runs_on_host else not_ready)(f"{need.name}: {finding}.", remedy)
    return ready(f"{' and '.join(handing_out)} can hand out the devices.")


def _asked(program: Program) -> Runtime | KitError:
    try:
        return runtimes.ask(program, timeout_s=ANSWER_S)
    except Unsupported as problem:
        return problem
