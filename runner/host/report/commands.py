"""Find the commands that make a request again, and try whether the pins of this copy of the kit still make it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

from runner.contract.errors import KitError, UnresolvedPin
from runner.contract.records import Json
from runner.contract.request import Request
from runner.host import cases
from runner.host.cases import Changes
from runner.host.readers.catalog import Case, Catalog
from runner.host.readers.lockfile import Lock
from runner.host.readers.profiles import Set

# The targets of the Makefile that measure a set on a cluster.
_TARGETS = {"gaudi2": "bench-gaudi2", "gaudi": "bench-gaudi", "a100": "bench-a100", "cpu": "bench-cpu-cluster"}
RUNNER = (".venv/bin/python", "-m", "runner")
# Places that are named where this copy of the kit makes another request.
_MOST_DIFFERENCES = 10

Value = TypeVar("Value")


@dataclass(frozen=True)
class Kit:
    """What this copy of the kit makes requests and commands from; ``sets`` are those of cases that are applied together.

    ``repository`` is the address of the kit's repository, None where the kit does not know one.
    """

    lock: Lock
    sets: Mapping[str, Set]
    repository: str | None = None


@dataclass(frozen=True)
class Route:
    """One way to measure a request again: where it measures, and the words of its commands, one list each."""

    where: str
    commands: list[list[str]]


@dataclass(frozen=True)
class Again:
    """How a request is made again. ``request`` is the id that must come out.

    ``makes`` is the id of the request that this copy of the kit makes today, None where that is not known; ``problem`` then says why.
    ``differences`` are the places where the two differ, each with the value of the request and that of today, as JSON. ``command``
    writes the request, None where no command can; ``routes`` measure it.
    """

    request: str
    makes: str | None
    problem: str | None
    differences: list[list[str]]
    command: list[str] | None
    routes: list[Route]


def line(words: list[str]) -> str:
    """Return a command as a shell takes it; a variable of make keeps its name outside of the quotes."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    name, mark, value = word.partition("=")
    return f"{name}={shlex.quote(value)}" if mark and name.isupper() and name.isalpha() else shlex.quote(word)


def again(request: Request, catalog: Catalog, kit: Kit) -> Again:
    """Return how a request is made and measured again."""
    case = catalog.cases.get(request.case)
    if case is None:
        return _only_the_file(request, f"this copy of the kit has no case {request.case}")
    changes = _changes(request, case, catalog, kit.lock)
    if isinstance(changes, str):
        return _only_the_file(request, changes)
    flags = [
        f"--{field.name.replace('_', '-')}={value}"
        for field in fields(Changes)
        if (value := getattr(changes, field.name)) is not None
    ]
    routes = list(_routes(request, case, flags, kit))
    command = [*RUNNER, "request", request.case, *_image_flag(request, kit.lock), *flags]
    if changes.dataset_file is not None:
        # the file lies with whoever measured: only its name and hash are known here
        dataset = request.workload.dataset
        words = f"its dataset is a file: {changes.dataset_file}, sha256 {dataset.sha256 if dataset else None}"
        return Again(request.id, None, words, [], command, routes)
    try:
        made, by_command = _made(request, changes, catalog, kit.lock)
    except KitError as problem:
        return Again(request.id, None, str(problem), [], None, routes)
    differences = [] if made.id == request.id else _differing(request, made)
    return Again(request.id, made.id, None, differences[:_MOST_DIFFERENCES], command if by_command else None, routes)


def _only_the_file(request: Request, why: str) -> Again:
    return Again(request.id, None, why, [], None, [])


def _image_flag(request: Request, lock: Lock) -> list[str]:
    stack = lock.stacks.get(request.stack.name)
    return ["--no-image"] if request.stack.image is None and stack is not None and stack.runs_in_image else []


def _changes(request: Request, case: Case, catalog: Catalog, lock: Lock) -> Changes | str:
    """Return what the flags of ``request`` must change in the case, or in words why no flag can."""
    margins = [name for name, value in catalog.margins.items() if value == request.margin]
    if not margins:
        return f"its margin is {request.margin:g}, which has no name in this copy of the kit"
    workload, dataset = request.workload, request.workload.dataset
    usual = catalog.workloads[case.workload]
    stack = lock.stacks.get(case.stack)
    changes = Changes(
        model=_other(request.model.name, case.model),
        weights=_other(request.weights.kind, case.weights),
        seed=_other(request.weights.seed, catalog.dummy_seed) if request.weights.kind == "dummy" else None,
        precision=_other(workload.precision, case.precision),
        devices=_other(request.devices, case.devices),
        protocol=_other(request.protocol.name, case.protocol),
        engine=_other(request.engine, case.engine or (None if stack is None else stack.engine)),
        launches=_other(request.launches, case.launches),
        margin=None if case.margin in margins else margins[0],
        batch_size=_other(workload.batch_size, usual.batch_size),
        output_tokens=_other(workload.output_tokens, usual.output_tokens),
    )
    if dataset is None:
        return changes
    changes = replace(
        changes,
        input_tokens=_other(workload.input_tokens, usual.input_tokens),
        column=_other(dataset.column, usual.column),
        rows=dataset.rows,
    )
    if dataset.source == "file":
        return replace(changes, dataset_file=Path(dataset.name))
    names = [name for name, pin in lock.datasets.items() if pin.repository == dataset.name]
    if not names:
        return f"this copy of the kit does not pin its dataset, {dataset.name}"
    return replace(
        changes,
        dataset=_other(names[0], usual.dataset),
        configuration=_other(dataset.configuration, usual.configuration),
        split=_other(dataset.split, usual.split),
    )


def _other(found: Value, usual: object) -> Value | None:
    """Return a value that differs from the case's, None for one that does not."""
    return None if found == usual else found


def _made(request: Request, changes: Changes, catalog: Catalog, lock: Lock) -> tuple[Request, bool]:
    """Return the request that this copy of the kit makes, and whether the verb ``request`` makes it. Raises what ``cases.make`` raises.

    A product that no row of the catalog names has its name from the driver of the host, which ``make bench`` asks. A request of Jobs whose
    pods install the stack is made by ``render`` alone: it has no image and, where a version is open, a draft's pins.
    """
    named_by_the_host = request.accelerator.name != catalog.cases[request.case].accelerator
    product = request.accelerator if named_by_the_host else None
    in_image = request.stack.image is not None
    try:
        made = cases.make(catalog, lock, request.case, changes, product=product, in_image=in_image)
        return made, not named_by_the_host
    except KitError as problem:
        if in_image:
            # a draft in the request's own image would be alike whatever image the lock will name
            raise _with_a_remedy(problem, request.stack.name) from None
        draft = cases.make(catalog, lock, request.case, changes, draft=True, product=product)
        if draft.id == request.id:
            return draft, False
        raise problem from None


def _with_a_remedy(problem: KitError, stack: str) -> KitError:
    """Return a problem with an open pin of a stack with what closes the pin; any other problem as it is."""
    if not isinstance(problem, UnresolvedPin):
        return problem
    return UnresolvedPin(
        f"{problem} `make images STACKS={stack} ARGS=--missing` resolves what the image of the stack needs and builds the image;"
        " `python -m runner prepare` does both for the sets of a cluster, and records the image that it pushed."
    )


def _differing(asked: Request, made: Request) -> list[list[str]]:
    """Return where two requests differ that have not the same id; the schema alone, where all that it holds is alike."""
    found = list(_differences(replace(asked, schema=made.schema).to_json(), made.to_json(), ""))
    return found or [["schema", str(asked.schema), str(made.schema)]]


def _differences(asked: Json, made: Json, place: str) -> Iterator[list[str]]:
    """Yield place, asked value and made value where two requests differ; the id follows from the others."""
    if isinstance(asked, dict) and isinstance(made, dict):
        for key in sorted({*asked, *made} - ({"id"} if not place else set())):
            yield from _differences(asked.get(key), made.get(key), f"{place}.{key}" if place else key)
    elif asked != made:
        yield [place, json.dumps(asked, ensure_ascii=False), json.dumps(made, ensure_ascii=False)]


def _routes(request: Request, case: Case, flags: list[str], kit: Kit) -> Iterator[Route]:
    """Yield the ways to measure a request: on a host, in a container, on a cluster."""
    stack = kit.lock.stacks.get(request.stack.name)
    if stack is None or case.stack != request.stack.name:
        return
    arguments = [f"ARGS={shlex.join(flags)}"] if flags else []
    dataset = request.workload.dataset
    if dataset is not None and dataset.source == "file":
        others = [flag for flag in flags if not flag.startswith(("--dataset-file=", "--column="))]
        arguments = [f"ARGS={shlex.join(others)}"] if others else []
        yield Route(
            "on a host", [["make", "bench-dataset", f"DATASET={dataset.name}", f"COLUMN={dataset.column}", *arguments]]
        )
        return
    if request.stack.image is not None:
        yield Route("in a container", [["make", "bench-container", f"CASES={request.case}", *arguments]])
    elif stack.runs_on_host or not stack.runs_in_image:
        yield Route("on a host", [["make", "bench", f"CASES={request.case}", *arguments]])
    # the Jobs of a set are those of its cases, unchanged
    if flags:
        return
    for name, group in kit.sets.items():
        if request.case in group.cases:
            yield Route(f"on a cluster, with the set {name}", list(_on_a_cluster(name)))


def of_file(request: Request, lock: Lock, file: str) -> list[str] | None:
    """Return the command that measures a request from its file, None where none can.

    A request that names an image is measured in that image: in any other image, the request would be another one.
    """
    stack, image, dataset = lock.stacks.get(request.stack.name), request.stack.image, request.workload.dataset
    if stack is None:
        return None
    if image is not None:
        # the base alone has no kit, pods install it; a container gets no dataset
        is_base = image.partition("@")[0] == stack.image.repository
        if is_base or dataset is not None:
            return None
        return [*RUNNER, "run", f"--image={request.stack.name}={image}", file]
    if stack.runs_in_image and not stack.runs_on_host:
        return None
    of_dataset = [f"--dataset-file={dataset.name}"] if dataset is not None and dataset.source == "file" else []
    return [*RUNNER, "bench", *of_dataset, file]


def _on_a_cluster(name: str) -> Iterator[list[str]]:
    if name in _TARGETS:
        yield ["make", _TARGETS[name]]
        return
    yield [*RUNNER, "render", name, "--out", "build/manifests"]
    yield [*RUNNER, "submit", "build/manifests"]
