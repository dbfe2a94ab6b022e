"""Choose the cases that a host can measure, from what ``devices`` told of the accelerators there, and say what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.contract import fit, hub_cache, products
from runner.contract.errors import DoesNotFit, InputError, KitError, LaunchFailed, UnresolvedPin, Unsupported
from runner.contract.found_devices import DeviceFound, DevicesUntold, Told
from runner.contract.request import Accelerator, Request
from runner.contract.words import DeviceKind, WeightsKind
from runner.host import cases
from runner.host.cases import Changes
from runner.host.readers import lockfile
from runner.host.readers.accelerators import AcceleratorRow
from runner.host.readers.catalog import Case, Catalog
from runner.host.readers.lockfile import Lock

ON_THE_CPU = "DEVICE=cpu measures on the CPU."


@dataclass(frozen=True)
class Asked:
    """What a person asks of this host. ``cases`` overrule the choice, and ``device`` limits it; both may be left out.

    ``model_dir`` is a folder of real weights. ``in_images`` says that requests are run in the images of their stacks; else they are run in
    environments of this host, and stacks that live in an image alone cannot be used.
    """

    cases: tuple[str, ...]
    device: DeviceKind | None
    model_dir: Path | None
    in_images: bool
    changes: Changes


@dataclass(frozen=True)
class Hardware:
    """The accelerators of this host, all of one product: what a request says of one, its row, and how many a launch can use.

    ``busy`` maps the place of each device that other processes compute on to the driver's number of the device: a launch takes the first
    places. ``words`` say it for people.
    """

    accelerator: Accelerator
    row: AcceleratorRow
    count: int
    busy: dict[int, int]
    words: str


@dataclass(frozen=True)
class Chosen:
    """The requests to run, and the sentence that says what was found, what is measured and what is left out.

    ``in_images`` are the cases of this host that only an image can run, where the requests are for environments of the host.
    """

    requests: list[Request]
    in_images: list[str]
    sentence: str


def choose(catalog: Catalog, lock: Lock, told: Sequence[Told], asked: Asked, environment: Mapping[str, str]) -> Chosen:
    """Return what to run on a host of which ``devices`` told this.

    Without named cases: the latency cases of the catalog for the product of this host, as many devices as there are, or those of the CPU
    on a host without an accelerator. A case with published weights gets dummy ones where the real ones are not here.
    Raises ``LaunchFailed`` where devices are missing, busy or unknown, ``Unsupported`` for devices of several products and for a case of
    another product, ``DoesNotFit`` where no model fits, ``UsageError`` for an unknown case, ``InputError`` for weights that a person asks
    for and that are not here, and what ``cases.make`` raises.
    """
    if asked.model_dir is not None and not asked.model_dir.is_dir():
        raise InputError(
            f"{asked.model_dir} is no folder of weights. Name one with --model-dir (MODEL_DIR of make), or leave it out."
        )
    chooser = _Chooser(catalog, lock, asked, environment)
    chosen = _choose(chooser, told)
    # where a device was found, what another maker's tool did not tell is said, and stops nothing
    untold = [each.message for each in told if isinstance(each, DevicesUntold)]
    return replace(chosen, sentence=". ".join([chosen.sentence, *untold]))


def _choose(chooser: _Chooser, told: Sequence[Told]) -> Chosen:
    asked = chooser.asked
    if asked.cases:
        return chooser.named(told)
    hardware = _hardware(chooser.catalog, told, asked.device)
    if hardware is None:
        if asked.device not in (None, "cpu"):
            raise LaunchFailed(f"No accelerator of the kind {asked.device} was found here. {ON_THE_CPU}")
        said = _nothing_found(chooser.environment) if asked.device is None else "the CPU was asked for"
        return chooser.of_the_cpu(said)
    return chooser.of_the_product(hardware)


def _nothing_found(environment: Mapping[str, str]) -> str:
    """Return the words for a host without an accelerator, with the variables that may hide one."""
    hiding = [
        name
        for name in ("CUDA_VISIBLE_DEVICES", "HABANA_VISIBLE_DEVICES", "HABANA_VISIBLE_MODULES")
        if name in environment
    ]
    return f"no accelerator was found{f' ({_listed(hiding)} may hide some)' if hiding else ''}"


def _hardware(catalog: Catalog, told: Sequence[Told], device: DeviceKind | None) -> Hardware | None:
    """Return the accelerators of a host as one product; None where there is none. Raises as ``choose`` does."""
    asked = [each for each in told if device in (None, each.device)]
    seen = [each for each in asked if isinstance(each, DeviceFound)]
    if not seen:
        for each in asked:
            raise LaunchFailed(f"{each.sentence} {ON_THE_CPU}")
        return None
    slices = [found for found in seen if found.name is not None and products.is_slice(found.name)]
    if slices == seen:
        # A process sees one slice, the first, however many there are.
        seen = seen[:1]
    kinds = list(dict.fromkeys((found.device, found.name) for found in seen))
    if len(kinds) > 1:
        listed = " and ".join(
            f"{sum((found.device, found.name) == kind for found in seen)} x {kind[1] or kind[0]}" for kind in kinds
        )
        raise Unsupported(
            f"This host has {listed}, and a launch runs on devices of one product. Name those to measure, for GPUs with"
            f" CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={seen[-1].index}, or one kind with DEVICE=cuda or DEVICE=hpu; {ON_THE_CPU}"
        )
    first = seen[0]
    if first.name is None:
        tool = {"cuda": "nvidia-smi", "hpu": "hl-smi"}[first.device]
        raise LaunchFailed(
            f"This host has {len(seen)} device file(s) of the kind {first.device}, but nothing tells which product they are: {tool} is not"
            f" here or does not answer. Run `{tool}` to see why. {ON_THE_CPU}"
        )
    accelerator, row = _accelerator(catalog, first)
    driver = f" (driver {first.driver})" if first.driver else ""
    of_slices = f", the first of {len(slices)} slices" if len(slices) > 1 else ""
    words = f"found {len(seen)} x {first.name}{driver}{of_slices}"
    busy = {place: found.index for place, found in enumerate(seen) if found.processes}
    return Hardware(accelerator, row, len(seen), busy, words)


def _accelerator(catalog: Catalog, found: DeviceFound) -> tuple[Accelerator, AcceleratorRow]:
    """Return what a request says of a device, and the row that it has in the catalog. Raises ``Unsupported`` for one without a row."""
    assert found.name is not None
    name = products.named(found.device, found.name)
    if name in catalog.accelerator_rows:
        row = catalog.accelerator_rows[name]
        return row.in_request, row
    for row in catalog.accelerator_rows.values():
        if row.others and row.in_request.device == found.device:
            return Accelerator(name, found.device, found.memory_bytes, None), row
    raise Unsupported(
        f"This host has {found.name}, which runner/catalog/accelerators.yaml does not name. Add the product to a row; {ON_THE_CPU}"
    )


@dataclass(frozen=True)
class _Chooser:
    catalog: Catalog
    lock: Lock
    asked: Asked
    environment: Mapping[str, str]

    def named(self, told: Sequence[Told]) -> Chosen:
        """Return the requests of the cases that a person named, after a look at the devices that they ask for."""
        for name in self.asked.cases:
            cases.known(self.catalog.cases, name, "case")
        on_the_host = [name for name in self.asked.cases if not self._needs_hardware(name)]
        others = [name for name in self.asked.cases if self._needs_hardware(name)]
        hardware = None
        if others:
            hardware = _hardware(self.catalog, told, self.asked.device)
            for name in others:
                self._refuse_without(name, hardware)
        usable = [name for name in self.asked.cases if self._is_usable(name)]
        requests = [self._request(name, None if name in on_the_host else hardware) for name in usable]
        said = hardware.words if hardware else "no accelerator is needed"
        return self._chosen(said, requests, [], [name for name in others if name not in usable])

    def of_the_cpu(self, said: str) -> Chosen:
        """Return the cases of the CPU."""
        names = [name for name in self._latency_cases() if not self._needs_hardware(name)]
        return self._chosen(said, [self._request(name, None) for name in names], [], [])

    def of_the_product(self, hardware: Hardware) -> Chosen:
        """Return the cases of the product of this host that its devices, their memory and the stacks allow."""
        row_name = hardware.row.in_request.name
        listed = [name for name in self._latency_cases() if self.catalog.cases[name].accelerator == row_name]
        if not listed:
            raise Unsupported(f"The catalog has no case for {row_name}, {hardware.words} here. {ON_THE_CPU}")
        left_out = [
            f"{name} needs {self._devices(name)} devices" for name in listed if self._devices(name) > hardware.count
        ]
        small = [name for name in listed if self._devices(name) <= hardware.count]
        usable = [name for name in small if self._is_usable(name)]
        requests: list[Request] = []
        problems: list[KitError] = []
        for name in usable:
            try:
                request = self._request(name, hardware)
                problem: KitError | None = fit.missing(request)
            except UnresolvedPin as unresolved:
                problem = unresolved
            if problem is None:
                requests.append(request)
            else:
                problems.append(problem)
                left_out.append(f"{name} {'does not fit' if isinstance(problem, DoesNotFit) else 'needs a pin'}")
        if problems and not requests:
            raise type(problems[0])(f"{hardware.words}: {problems[0]}")
        if not small:
            raise LaunchFailed(
                f'{hardware.words}, and {"; ".join(left_out)}. Name fewer with ARGS="--devices N" and CASES.'
            )
        self._refuse_busy(hardware, requests)
        return self._chosen(hardware.words, requests, left_out, [name for name in small if name not in usable])

    def _chosen(self, said: str, requests: list[Request], left_out: list[str], in_images: list[str]) -> Chosen:
        if in_images and requests and self.asked.cases:
            raise Unsupported(
                f"{_listed(in_images)} can be run in an image alone, beside {requests[0].case}, which runs here. Name them apart."
            )
        parts = [f"{said}: {self._measured(requests)}"]
        if in_images:
            parts.append(f"in an image alone (the target bench-container): {_listed(in_images)}")
        published = [request for request in requests if self.catalog.cases[request.case].weights == "hub"]
        if self.asked.model_dir is not None and published and all(each.weights.kind == "dummy" for each in published):
            parts.append(f"{self.asked.model_dir} holds the whole weights of none of them")
        return Chosen(requests, in_images, "; ".join([*parts, *left_out]))

    def _measured(self, requests: Sequence[Request]) -> str:
        """Return in words what is measured with which weights, and where real weights were found."""
        if not requests:
            return "nothing is measured without a container"
        by_weights: dict[str, list[str]] = {}
        for request in requests:
            other = (
                f" (as {request.model.name})" if request.model.name != self.catalog.cases[request.case].model else ""
            )
            by_weights.setdefault(self._weights_words(request), []).append(f"{request.case}{other}")
        groups = [f"{_listed(names)} with {weights}" for weights, names in by_weights.items()]
        return f"measuring {', '.join(groups)}; {len(requests)} case{'s' if len(requests) > 1 else ''}"

    def _weights_words(self, request: Request) -> str:
        if request.weights.kind == "dummy":
            return "dummy weights"
        place = self.asked.model_dir or hub_cache.folder(self.environment)
        return f"the real weights in {place}"

    def _request(self, name: str, hardware: Hardware | None) -> Request:
        case = self.catalog.cases[name]
        weights = self._weights(case)
        return cases.make(
            self.catalog,
            self.lock,
            name,
            replace(self.asked.changes, weights=weights),
            product=hardware.accelerator if hardware else None,
            in_image=self.asked.in_images,
        )

    def _weights(self, case: Case) -> WeightsKind:
        """Return the weights that a person or a case asks for, and dummy ones for a case's published weights that are not here.

        Raises ``InputError`` where a person asks for published weights that are not here: what else a run needs may be gigabytes.
        """
        given = self.asked.changes.weights
        if given == "dummy":
            return "dummy"
        model = self.asked.changes.model or case.model
        pin, architecture = self.lock.models.get(model), self.catalog.models.get(model)
        if pin is None or architecture is None or pin.revision == lockfile.UNRESOLVED:
            # cases.make says what keeps the weights from being asked for
            return given or "dummy"
        if given is None and case.weights == "dummy":
            return "dummy"
        place = self.asked.model_dir or hub_cache.snapshot(pin.repository, pin.revision, self.environment)
        is_here = hub_cache.holds(str(place), architecture, pin.files or {})
        if given == "hub" and not is_here:
            raise InputError(
                f"{place} does not hold the whole weights of {pin.repository}, about {architecture.weight_bytes('bfloat16') / 1e9:.1f} GB."
                f" Fetch them: make weights MODEL={model}. Or leave --weights hub out."
            )
        return "hub" if is_here else "dummy"

    def _refuse_without(self, name: str, hardware: Hardware | None) -> None:
        """Raise for a case of another product than this host has, or of more devices, or where the devices are busy."""
        case = self.catalog.cases[name]
        wanted = f"{name} asks for {self._devices(name)} x {case.accelerator}"
        if hardware is None:
            raise LaunchFailed(f"{wanted}, and no accelerator was found here. {ON_THE_CPU}")
        row = self.catalog.accelerator_rows[case.accelerator]
        is_other = row.others and row.in_request.device == hardware.accelerator.device
        if not is_other and row is not hardware.row:
            raise Unsupported(f"{wanted}; {hardware.words} here. Leave CASES out to measure what fits this host.")
        if self._devices(name) > hardware.count:
            raise LaunchFailed(f"{wanted}; {hardware.words} here. Take a case of fewer devices.")
        self._refuse_devices(hardware, self._devices(name), name)

    def _refuse_busy(self, hardware: Hardware, requests: Sequence[Request]) -> None:
        for request in requests:
            self._refuse_devices(hardware, request.devices, request.case)

    @staticmethod
    def _refuse_devices(hardware: Hardware, devices: int, name: str) -> None:
        """Raise ``LaunchFailed`` where other processes compute on one of the first devices, which a launch takes."""
        busy = [str(number) for place, number in hardware.busy.items() if place < devices]
        if busy:
            raise LaunchFailed(
                f"{hardware.words}, and other processes compute on device {', '.join(busy)}: {name} would measure them too."
                " End them, or name free devices with CUDA_VISIBLE_DEVICES."
            )

    def _needs_hardware(self, name: str) -> bool:
        return not self.catalog.accelerators[self.catalog.cases[name].accelerator].is_the_host

    def _is_usable(self, name: str) -> bool:
        return self.asked.in_images or self.lock.stacks[self.catalog.cases[name].stack].runs_on_host

    def _devices(self, name: str) -> int:
        return self.asked.changes.devices or self.catalog.cases[name].devices

    def _latency_cases(self) -> Iterator[str]:
        return (name for name, case in self.catalog.cases.items() if case.workload == "latency")


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
