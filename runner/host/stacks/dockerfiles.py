"""Read what a stack's Dockerfile sets, so that a pod that installs the stack by itself sets the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.readers.lockfile import PinnedStack

INSTALL = paths.ROOT / "images" / "install.sh"


class Stage(NamedTuple):
    """A stage of a Dockerfile: its name, None for the last; the variables that ENV sets, in order, as shells write them."""

    name: str | None
    variables: dict[str, str]


class Dockerfile(NamedTuple):
    """What a Dockerfile sets while it builds (``build``) and in the image (``image``), and its arguments of install.sh."""

    build: dict[str, str]
    image: dict[str, str]
    install_arguments: list[str]


def path(stack: PinnedStack) -> Path:
    """Return the path of a stack's Dockerfile, which lies beside the stack's requirements."""
    return paths.ROOT / Path(stack.requirements.file).parent / "Dockerfile"


def program_scripts(stack: PinnedStack) -> list[Path]:
    """Return the scripts that compile a stack's programs; the scripts lie beside its Dockerfile."""
    return [path(stack).with_name(f"{name}.sh") for name in stack.programs]


def read(stack: PinnedStack) -> Dockerfile:
    """Return what the Dockerfile of a stack sets. Raises ``InputError`` where it has another form than the kit's own."""
    return parse(path(stack).read_text(encoding="utf-8"), paths.shown(path(stack)))


def parse(text: str, where: str) -> Dockerfile:
    """Return what a Dockerfile sets; ``where`` names the file in messages.

    Raises ``InputError`` for a Dockerfile without a stage named build that runs install.sh.
    """
    stages: list[Stage] = []
    arguments: list[str] | None = None
    for word, rest in _instructions(text):
        if word == "FROM":
            named = re.search(r"\bAS (\S+)$", rest, re.IGNORECASE)
            stages.append(Stage(named[1] if named else None, {}))
        elif word == "ENV" and stages:
            stages[-1].variables.update(_assignments(rest, where))
        elif word == "RUN" and stages and stages[-1].name == "build":
            ran = re.search(r"\bsh /install\.sh(?P<arguments>.*)$", rest)
            arguments = shlex.split(ran["arguments"]) if ran else arguments
    building = next((stage for stage in stages if stage.name == "build"), None)
    if building is None or arguments is None:
        raise InputError(f"{where} has no stage build that runs /install.sh. Restore it with `git checkout`.")
    return Dockerfile(building.variables, stages[-1].variables, arguments)


def _instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: the word of each, and the rest on one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word.upper(), rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def _assignments(text: str, where: str) -> dict[str, str]:
    """Return name to value of an ENV instruction. Raises ``InputError`` for a value that a shell would read otherwise."""
    variables = {}
    for assignment in shlex.split(text):
        name, equals, value = assignment.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_/.:+${}=@,-]*", value):
            raise InputError(f"{where}: ENV {assignment} is not NAME=VALUE of plain characters. Mend the line.")
        variables[name] = value
    return variables
