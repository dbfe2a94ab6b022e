"""The records of a result file as types: what ``result-2.schema.json`` describes, one TypedDict per object.

A key that may be absent stands in a class with ``total=False``; its required keys stand in the class of the same name with an
underscore before it, since Python 3.8 has no ``NotRequired``. ``tests/contract/test_records.py`` holds these types against the schema.
"""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Optional, TypedDict, Union

from runner.contract.words import (
    Act,
    AttemptStatus,
    DeviceKind,
    EndOfTextRule,
    EngineObserved,
    Estimator,
    Installation,
    LaunchStatus,
    PublishedBy,
    ShapesObserved,
    WeightsFormat,
    WeightsKind,
)

# A value that JSON can hold, and an object of JSON with any keys, such as a Kubernetes object.
Json = Union[None, bool, int, float, str, List[Any], Dict[str, Any]]
JsonObject = Dict[str, Any]


class Published(TypedDict):
    """How the folder of results takes files, as tried before anything was measured."""

    # Rename: under a claim made with O_EXCL; create: with O_EXCL, written under its own name.
    by: PublishedBy
    file_synced: bool
    folder_synced: bool


class _Attempt(TypedDict):
    id: str
    status: AttemptStatus
    started_utc: str
    ended_utc: str
    duration_s: float
    # Seconds by which the wall clock moved against the monotonic one.
    clock_drift_s: float


class Attempt(_Attempt, total=False):
    """When and how an attempt ran. ``published`` is absent where the file was linked into place, and file and folder were synced."""

    # How the folder takes files, as tried before anything was measured; absent where by link, file and folder synced.
    published: Published


class _Processor(TypedDict):
    model: Optional[str]
    usable_cores: int
    governor: Optional[str]


class Processor(_Processor, total=False):
    """The host's processor."""

    # Cores' time that the control groups' quotas leave; null where there is no quota.
    quota_cores: Optional[float]


class _Inventory(TypedDict):
    # The stack's locked requirements; null where they are not here.
    requirements: Optional[str]
    compared: int
    missing: Dict[str, str]
    # Name to [locked, found].
    changed: Dict[str, List[str]]
    # Files that are not what their package's RECORD says.
    altered_files: List[str]
    added: Dict[str, str]


class Inventory(_Inventory, total=False):
    """The installed packages held against the stack's lock. An empty collection means: nothing of this kind was found."""

    # Module or package to the place that Python takes it from instead of the installed one.
    shadowed: Dict[str, str]
    # Locked packages that list none of their files.
    unrecorded: List[str]
    # Files and variables that run code in every Python here, and are of no locked package.
    injected: List[str]
    # Variables and files that can change what runs or how fast.
    interpreter: Dict[str, str]
    # All variables of Python and of the dynamic linker.
    variables: Dict[str, str]


class _Environment(TypedDict):
    python: str
    implementation: str
    venv: bool
    packages: Dict[str, str]
    image: Optional[str]
    host: str
    machine: str
    kernel: str
    operating_system: Optional[str]
    cpu: Processor
    memory_total_bytes: Optional[int]
    memory_available_bytes: Optional[int]
    load_average_1min: float
    # Null in a result that was made under schema 1.
    inventory: Optional[Inventory]


class Environment(_Environment, total=False):
    """The parent's host and Python, as observed before the first launch. ``installation`` is absent in a result of an older kit."""

    installation: Installation


class WeightFile(TypedDict):
    """A file of the checkpoint."""

    name: str
    bytes: int
    # As pinned and compared; null where nothing is pinned.
    sha256: Optional[str]


class LoadedWeights(TypedDict):
    """The weights that a launch loaded: files of the hub, or dummy weights made from a seed."""

    kind: WeightsKind
    seed: Optional[int]
    std: Optional[float]
    format: Optional[WeightsFormat]
    files: List[WeightFile]
    # As the files say it; null where they do not.
    revision: Optional[str]


class Conditions(TypedDict):
    """The conditions of a launch that a claim is compared by."""

    device: DeviceKind
    devices: int
    engine: EngineObserved
    precision: str
    kv_cache: bool
    graphs: bool
    shapes: ShapesObserved
    end_of_text: EndOfTextRule
    # Something stood in for the device.
    emulated: bool


class TimedPass(TypedDict):
    """The timed calls. ``iterations_s`` holds one duration a call; ``output_tokens`` has the shape [calls][rows]."""

    iterations_s: List[float]
    span_s: float
    # [Calls][rows]: tokens that came out.
    output_tokens: List[List[int]]


class Estimate(TypedDict):
    """The latency by the protocol's own estimator."""

    estimator: Estimator
    latency_s: float


class InstrumentedPass(TypedDict):
    """The second pass, which takes a time at every forward call. One entry a call; ``itl_s`` has the shape [calls][gaps between tokens]."""

    e2e_s: List[float]
    ttft_s: List[float]
    tpot_s: List[Optional[float]]
    # [Calls][gaps between tokens].
    itl_s: List[List[float]]
    forward_calls: List[int]


class Tokens(TypedDict):
    """Prompts and outputs. ``prompt_ids`` and ``output_ids`` have the shape [rows][tokens]."""

    prompt_ids: List[List[int]]
    output_ids: List[List[int]]
    # One for each timed call.
    outputs_sha256: List[str]
    text: List[str]
    logits_finite: bool
    # The prompts as the ids read.
    prompt_text: Optional[List[str]]
    # The kind of device that a forward pass left its logits on.
    logits_on: Optional[str]


class Operators(TypedDict):
    """One more call of generate under torch's profiler, after all others; it ends after its first tokens.

    ``output_ids`` has the shape [rows][tokens].
    """

    # New tokens of each row in this call: a forward pass each.
    output_tokens: int
    # [Rows][tokens]: the ids that the call produced.
    output_ids: List[List[int]]
    # Name of an operator of the host or of a kernel of the device to how often it ran in the first rank.
    calls: Dict[str, int]
    # The names in ``calls`` that are kernels and copies of a device beside the host; empty on the CPU.
    kernels: List[str]


class DatasetPass(TypedDict):
    """The pass over the rows of a dataset. ``batches_s`` holds one duration a batch."""

    rows: int
    rows_total: int
    batches_s: List[float]
    tokens_sha256: str


class _RankDevice(TypedDict):
    name: Optional[str]
    driver: Optional[str]


class RankDevice(_RankDevice, total=False):
    """The device of a rank, by its driver's and torch's words."""

    threads: Optional[int]
    firmware: Optional[str]
    # The product that the device says it is.
    accelerator: Optional[str]
    # The PCI bus id of a GPU as the kernel writes it; null where the driver does not say it.
    bus_id: Optional[str]
    # The whole memory of a GPU, in bytes.
    memory_bytes: int


class SynchronisationControl(TypedDict):
    """A forward pass: the time until the pass was queued, and the time until it was done."""

    queued_s: float
    finished_s: float


class DeviceClock(TypedDict):
    """One call, timed by the host's clock and by the device's."""

    host_s: float
    device_s: float


class _Watched(TypedDict):
    # Bytes by which loading raised the device's memory in use.
    memory_rise_bytes: Optional[int]
    # In the timed window.
    compilations: Optional[int]
    # There before this process began.
    cached_kernels: Optional[int]
    # Operators that ran on the CPU instead, in the timed window.
    fallbacks: Optional[int]
    foreign_processes: Optional[List[int]]
    throttle_reasons: Optional[List[str]]
    # Seconds that the device still worked when the clock had stopped.
    residual_s: Optional[float]
    # A forward pass until it was queued and until it was done.
    control: Optional[SynchronisationControl]
    # One call by the host's clock and by the device's.
    device_clock: Optional[DeviceClock]
    device_node: Optional[int]
    cpu_nodes: Optional[List[int]]
    # Pages that came from disk in the timed window.
    major_faults: Optional[int]


class Watched(_Watched, total=False):
    """The facts that a rank's device and host told around the timed window. Null where neither can tell, and in results of schema 1."""

    # Joules that the rank's device took in the timed window, by the device's own counter; on the CPU those of all processors of the host.
    energy_j: Optional[float]


class Rank(TypedDict):
    """One process of a launch."""

    rank: int
    host: str
    device: RankDevice
    parameter_bytes: int
    parameters_on: List[str]
    # Bytes; null where the device has no memory of its own.
    device_peak_memory_bytes: Optional[int]
    host_peak_rss_bytes: int
    tokens_sha256: str
    # Variables that can change a measurement, as they reached this rank; null in a result that was made under schema 1.
    variables: Optional[Dict[str, str]]
    # The facts that this rank's device and host told; null where they cannot, or in a result that was made under schema 1.
    watched: Optional[Watched]


class Check(TypedDict):
    """One validity check of a launch. ``passed`` is None where the device cannot tell; ``reason`` then says why."""

    name: str
    act: Act
    # Null where this device cannot tell.
    passed: Optional[bool]
    wanted: Any
    found: Any
    reason: Optional[str]


class HostClock(TypedDict):
    """The host's wall clock against its monotonic clock during the launch."""

    resolution_s: float
    elapsed_s: float
    drift_s: float


class HostNoise(TypedDict):
    """Other work of the host during the launch. Null where the kernel does not tell."""

    # Share of the time that work waited for a core.
    cpu_pressure: Optional[float]
    throttled_periods: Optional[int]
    swapped_pages: Optional[int]
    oom_kills: Optional[int]


class _Launch(TypedDict):
    index: int
    status: LaunchStatus
    load_average_1min: float
    # Threads of the whole host that wanted a core before the launch; null where not told.
    runnable_before: Optional[int]


class Launch(_Launch, total=False):
    """One process start that loaded the model and ran the protocol once. ``error`` and ``log`` are those of a failed launch."""

    error: str
    log: List[str]
    command: List[str]
    variables: Dict[str, str]
    load_s: float
    weights: LoadedWeights
    conditions: Conditions
    untimed_s: List[float]
    timed: TimedPass
    estimate: Estimate
    instrumented: InstrumentedPass
    tokens: Tokens
    dataset: DatasetPass
    ranks: List[Rank]
    checks: List[Check]
    clock: HostClock
    host_noise: HostNoise
    # The settings that generate() worked with; null in a result that was made under schema 1.
    generation: Optional[JsonObject]
    # Checks that could not be made on this device, each with the reason.
    cannot_tell: Dict[str, str]
    # What `bench --operators` counted; null where the device does not tell it, absent where it was not asked for.
    operators: Optional[Operators]


class Outputs(TypedDict):
    """The file of completions of a dataset: ``sha256`` is that of its bytes; ``file`` is null where it was not kept."""

    file: Optional[str]
    rows: int
    sha256: str


class Result(TypedDict):
    """The JSON of one attempt. ``sha256`` is that of the canonical JSON of everything else."""

    kind: Literal["result"]
    schema: Literal[2]
    sha256: str
    attempt: Attempt
    request: JsonObject
    environment: Environment
    launches: List[Launch]
    outputs: Optional[Outputs]
