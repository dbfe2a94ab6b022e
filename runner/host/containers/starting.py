"""Decide how each container starts: with which program, in which image, from which folders."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from runner.contract.errors import Unsupported
from runner.host.containers import command, hooks, images, weights
from runner.host.containers.command import Place
from runner.host.containers.hooks import Hooks
from runner.host.containers.images import StackImage
from runner.host.containers.plans import ContainerPlan
from runner.host.containers.run_folder import RunFolder
from runner.host.containers.runtimes import Runtime
from runner.host.objects import names


@dataclass(frozen=True)
class Setting:
    """What holds for all containers of one call: the programs that can run them, where they are kept, and their limits."""

    available: list[Runtime]
    runs: Path
    deadline_s: float | None
    model_dir: Path | None


@dataclass(frozen=True)
class Planned:
    """One container before it starts."""

    plan: ContainerPlan
    image: StackImage
    place: Place
    folder: RunFolder
    deadline_s: float

    @property
    def case(self) -> str:
        """The name of the case."""
        return self.plan.request.case

    @property
    def command(self) -> list[str]:
        """The command that starts the container."""
        return command.arguments(self.plan.template, self.place)


def start_of(plan: ContainerPlan, image: StackImage, setting: Setting) -> Planned:
    """Return one container as it will start. Raises ``Unsupported`` where no program can hand out its devices, and ``InputError``."""
    request = plan.request
    runtime, ways = serving(plan, setting.available)
    model = weights.find(plan.job, setting.model_dir)
    if model is not None:
        plan = plan.reading(model.path)
    name = f"bloomz-bench-{request.case}-{datetime.now(timezone.utc):%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
    folder = RunFolder(setting.runs / name)
    place = Place(
        runtime=runtime,
        hooks=ways,
        name=name,
        images={image.reference: images.known_as(runtime.program, request.stack.name, image)},
        volumes={**folder.volumes, **({names.MODELS: model.volume} if model else {})},
        termination_log=folder.termination_log,
    )
    deadline_s = plan.job.deadline_s if setting.deadline_s is None else setting.deadline_s
    planned = Planned(plan, image, place, folder, deadline_s)
    # a folder that no command line can name is refused now
    assert planned.command
    return planned


def serving(plan: ContainerPlan, available: Sequence[Runtime]) -> tuple[Runtime, Hooks]:
    """Return the first program that can hand out the devices of a plan, with its hooks. Raises ``Unsupported`` where none can."""
    problems = []
    for runtime in available:
        ways = hooks.look(runtime)
        try:
            command.devices(plan.template, runtime, ways)
        except Unsupported as problem:
            problems.append(str(problem))
        else:
            return runtime, ways
    raise Unsupported(f"{plan.request.case}: {' '.join(problems)}")
