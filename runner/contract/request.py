"""A request: one case with every pin filled in. Its id is a hash of its content, so a moved pin is a new id."""

from __future__ import annotations

import functools
import os
from dataclasses import asdict, dataclass, field
from typing import TypeVar, get_args

from runner.contract import patterns, strictjson
from runner.contract.architecture import Architecture
from runner.contract.errors import InputError
from runner.contract.estimator import ESTIMATORS
from runner.contract.fields import Fields
from runner.contract.records import JsonObject
from runner.contract.words import (
    Clock,
    DatasetFormat,
    DatasetSource,
    DeviceKind,
    EndOfTextRule,
    Engine,
    Estimator,
    Launcher,
    Precision,
    Shapes,
    TokenCount,
    WeightsKind,
    WorkloadName,
)

# History of the schema; a request of an older one keeps it, and so its id:
#   1  first
#   2  expected: what is known of the ids beforehand; the stack's driver
#   3  engine; the stack's firmware
SCHEMA = 3

DEVICES: tuple[DeviceKind, ...] = get_args(DeviceKind)
LAUNCHERS: tuple[Launcher, ...] = get_args(Launcher)
ENGINES: tuple[Engine, ...] = get_args(Engine)
DATASET_FORMATS: tuple[DatasetFormat, ...] = get_args(DatasetFormat)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# Bounds of the numbers in a request, far above any run: a number with too many zeros is refused when it is read.
MAX_DEVICES, MAX_CALLS, MAX_TOKENS, MAX_SEED = 10**5, 10**6, 10**6, 2**63 - 1

Record = TypeVar("Record")

# A draft, rendered before every pin is resolved, says "unresolved".
_VERSION, _SHA256 = patterns.VERSION.or_unresolved(), patterns.SHA256.or_unresolved()


@dataclass(frozen=True)
class Accelerator:
    """A product that a claim names. ``memory_bytes`` is per device; null where the host's memory is the device's.

    ``hbm_bytes_per_s`` is the memory bandwidth of a device; null where its maker does not say it.
    """

    name: str
    device: DeviceKind
    memory_bytes: int | None
    hbm_bytes_per_s: float | None

    @property
    def is_the_host(self) -> bool:
        """Whether the device is the host's own processor: a run on it only walks the path, and reproduces no published number."""
        return self.device == "cpu"

    @classmethod
    def from_fields(cls, fields: Fields) -> Accelerator:
        """Read an accelerator. Raises the error of ``fields``."""
        return _finish(
            fields,
            cls(
                name=fields.form("name", patterns.NAME),
                device=fields.choice("device", DEVICES),
                memory_bytes=fields.optional(Fields.count, "memory_bytes"),
                hbm_bytes_per_s=fields.optional(Fields.number, "hbm_bytes_per_s"),
            ),
        )


@dataclass(frozen=True)
class Stack:
    """A pinned software set. ``image`` is a reference by digest, null when the runner's own environment is used.

    ``driver`` is the version that the host should have, ``firmware`` that of its devices; null where nobody knows it.
    """

    name: str
    device: DeviceKind
    python: str
    launcher: Launcher
    packages: dict[str, str]
    requirements_sha256: str | None
    image: str | None
    driver: str | None = None
    firmware: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Stack:
        """Read a stack. Raises the error of ``fields``."""
        packages = fields.fields("packages")
        return _finish(
            fields,
            cls(
                name=fields.form("name", patterns.NAME),
                device=fields.choice("device", DEVICES),
                python=fields.form("python", patterns.PYTHON),
                launcher=fields.choice("launcher", LAUNCHERS),
                packages={name: packages.form(name, _VERSION) for name in packages.keys(patterns.PACKAGE)},
                requirements_sha256=_optional(fields, "requirements_sha256", _SHA256),
                image=_optional(fields, "image", patterns.IMAGE),
                driver=fields.form("driver", _VERSION, None),
                firmware=fields.form("firmware", _VERSION, None),
            ),
        )


@dataclass(frozen=True)
class Model:
    """A BLOOM by name. ``repository`` and ``revision`` (40 hex digits) are null for dummy weights.

    ``files`` maps names of the revision's large files to their sha256; empty where the lock has none.
    """

    name: str
    architecture: Architecture
    repository: str | None
    revision: str | None
    files: dict[str, str]

    @classmethod
    def from_fields(cls, fields: Fields) -> Model:
        """Read a model. Raises the error of ``fields``."""
        files = fields.fields("files")
        return _finish(
            fields,
            cls(
                name=fields.form("name", patterns.NAME),
                architecture=Architecture.from_fields(fields.fields("architecture")),
                repository=_optional(fields, "repository", patterns.HUB_REPOSITORY),
                revision=_optional(fields, "revision", patterns.COMMIT),
                files={name: files.form(name, patterns.SHA256) for name in files.keys(patterns.FILE_PATH)},
            ),
        )


@dataclass(frozen=True)
class Weights:
    """The weights to load. ``hub``: the published ones, at the model's revision; ``seed`` and ``std`` are null then.

    ``dummy``: numbers computed from ``seed``, the parameter's name and the element's place, with the standard deviation ``std``.
    """

    kind: WeightsKind
    seed: int | None
    std: float | None

    @classmethod
    def from_fields(cls, fields: Fields) -> Weights:
        """Read weights. Raises the error of ``fields``."""
        kind: WeightsKind = fields.choice("kind", get_args(WeightsKind))
        if kind == "hub":
            fields.take("seed", type(None), None)
            fields.take("std", type(None), None)
            return _finish(fields, cls(kind, None, None))
        return _finish(fields, cls(kind, fields.count("seed", most=MAX_SEED), fields.number("std")))


@dataclass(frozen=True)
class Dataset:
    """Where prompts come from: a hub dataset at a revision, or a local file known by its sha256 and not by its path."""

    source: DatasetSource
    name: str
    revision: str | None
    configuration: str | None
    split: str | None
    format: DatasetFormat | None
    sha256: str | None
    column: str
    rows: int | None

    @classmethod
    def from_fields(cls, fields: Fields) -> Dataset:
        """Read a dataset. Raises the error of ``fields``."""
        source: DatasetSource = fields.choice("source", get_args(DatasetSource))
        value = cls(
            source=source,
            name=fields.form("name", patterns.HUB_REPOSITORY if source == "hub" else patterns.FOREIGN_NAME),
            revision=_optional(fields, "revision", patterns.COMMIT),
            configuration=_optional(fields, "configuration", patterns.HUB_CONFIGURATION),
            split=_optional(fields, "split", patterns.HUB_SPLIT),
            format=fields.optional(lambda part, key: part.choice(key, DATASET_FORMATS), "format"),
            sha256=_optional(fields, "sha256", patterns.SHA256),
            column=fields.form("column", patterns.FOREIGN_NAME),
            rows=fields.optional(Fields.count, "rows"),
        )
        for key in ("revision",) if source == "hub" else ("format", "sha256"):
            if getattr(value, key) is None:
                raise fields.error(f"{fields.where}: a dataset from {source} needs {key!r}.")
        return _finish(fields, value)


@dataclass(frozen=True)
class Workload:
    """The text to generate from: ``prompt`` repeated for each row of the batch, or the rows of ``dataset``; never both."""

    name: WorkloadName
    batch_size: int
    input_tokens: int
    output_tokens: int
    precision: Precision
    prompt: str | None
    dataset: Dataset | None

    @classmethod
    def from_fields(cls, fields: Fields) -> Workload:
        """Read a workload. Raises the error of ``fields``."""
        value = cls(
            name=fields.choice("name", get_args(WorkloadName)),
            batch_size=fields.count("batch_size", least=1, most=MAX_TOKENS),
            input_tokens=fields.count("input_tokens", least=1, most=MAX_TOKENS),
            output_tokens=fields.count("output_tokens", least=1, most=MAX_TOKENS),
            precision=fields.choice("precision", PRECISIONS),
            prompt=_optional(fields, "prompt", patterns.PROMPT),
            dataset=fields.optional(lambda part, key: Dataset.from_fields(part.fields(key)), "dataset"),
        )
        if (value.prompt is None) == (value.dataset is None) or (value.name == "dataset") != (
            value.dataset is not None
        ):
            raise fields.error(f"{fields.where}: a latency workload has a prompt, a dataset workload has a dataset.")
        return _finish(fields, value)


@dataclass(frozen=True)
class Protocol:
    """How a workload is timed. The window always holds the whole call: tokenize, copy in, generate, copy out, detokenize.

    ``graphs`` says that the published command replays device graphs; ``contract.words`` explains the words of the other fields.
    """

    name: str
    version: str
    untimed_calls: int
    timed_calls: int
    synchronize_before: bool
    synchronize_after: bool
    end_of_text: EndOfTextRule
    token_count: TokenCount
    shapes: Shapes
    graphs: bool
    estimator: Estimator
    clock: Clock
    source: str

    @classmethod
    def from_fields(cls, fields: Fields) -> Protocol:
        """Read a protocol. Raises the error of ``fields``."""
        return _finish(
            fields,
            cls(
                name=fields.form("name", patterns.NAME),
                version=fields.form("version", patterns.NUMBER),
                untimed_calls=fields.count("untimed_calls", most=MAX_CALLS),
                timed_calls=fields.count("timed_calls", least=1, most=MAX_CALLS),
                synchronize_before=fields.flag("synchronize_before"),
                synchronize_after=fields.flag("synchronize_after"),
                end_of_text=fields.choice("end_of_text", get_args(EndOfTextRule)),
                token_count=fields.choice("token_count", get_args(TokenCount)),
                shapes=fields.choice("shapes", get_args(Shapes)),
                graphs=fields.flag("graphs"),
                estimator=fields.choice("estimator", tuple(ESTIMATORS)),
                clock=fields.choice("clock", get_args(Clock)),
                source=fields.form("source", patterns.TEXT),
            ),
        )


@dataclass(frozen=True)
class Expected:
    """The ids that one row must have, as the sha256 of their canonical JSON; null where no reference is known yet."""

    input_ids_sha256: str | None
    output_ids_sha256: str | None

    @classmethod
    def from_fields(cls, fields: Fields) -> Expected:
        """Read expected ids. Raises the error of ``fields``."""
        inputs, outputs = (_optional(fields, key, patterns.SHA256) for key in ("input_ids_sha256", "output_ids_sha256"))
        return _finish(fields, cls(inputs, outputs))


NOTHING_EXPECTED = Expected(None, None)


@dataclass(frozen=True)
class Request:
    """One case to run ``launches`` times. ``beside`` names the claims that its result is compared with.

    ``engine`` is how the model is run. ``margin`` is the fraction within which a published number counts as reproduced: fixed
    here, before the run.
    """

    case: str
    accelerator: Accelerator
    devices: int
    stack: Stack
    model: Model
    weights: Weights
    workload: Workload
    protocol: Protocol
    launches: int
    margin: float
    beside: list[str]
    engine: Engine
    expected: Expected = NOTHING_EXPECTED
    schema: int = field(default=SCHEMA)

    # thousands of rows and figures name their request, and each time the content would be hashed
    @functools.cached_property
    def id(self) -> str:
        """The case's name and 12 hex digits of the sha256 of the content."""
        return f"{self.case}-{strictjson.sha256_of(self._content())[:12]}"

    def to_json(self) -> JsonObject:
        """Return the JSON mapping, with the id that a reader checks."""
        return {**self._content(), "id": self.id}

    def _content(self) -> JsonObject:
        content: JsonObject = {"kind": "request", **asdict(self)}
        if self.schema < 2:
            content.pop("expected")
            content["stack"].pop("driver")
        if self.schema < 3:
            content.pop("engine")
            content["stack"].pop("firmware")
        return content

    @classmethod
    def from_json(cls, value: object, where: str, error: type[Exception] = InputError) -> Request:
        """Read a request. Raises ``error`` for a damaged one, a newer schema, or an id that is not its content's."""
        fields = Fields(value, where, error)
        fields.choice("kind", ("request",))
        schema = fields.count("schema", least=1)
        if schema > SCHEMA:
            raise error(f"{where} has request schema {schema}; this version reads up to {SCHEMA}. Use a newer version.")
        stack = Stack.from_fields(fields.fields("stack"))
        request = cls(
            case=fields.form("case", patterns.NAME),
            accelerator=Accelerator.from_fields(fields.fields("accelerator")),
            devices=fields.count("devices", least=1, most=MAX_DEVICES),
            stack=stack,
            model=Model.from_fields(fields.fields("model")),
            weights=Weights.from_fields(fields.fields("weights")),
            workload=Workload.from_fields(fields.fields("workload")),
            protocol=Protocol.from_fields(fields.fields("protocol")),
            launches=fields.count("launches", least=1, most=MAX_CALLS),
            margin=fields.fraction("margin"),
            beside=fields.forms("beside", patterns.ROW),
            engine=fields.choice("engine", ENGINES) if schema > 2 else _engine_before_schema_3(stack),
            expected=Expected.from_fields(fields.fields("expected")) if schema > 1 else NOTHING_EXPECTED,
            schema=schema,
        )
        if request.stack.device != request.accelerator.device:
            raise error(
                f"{where}: stack {request.stack.name} is for {request.stack.device}, not {request.accelerator.device}."
            )
        if request.weights.kind == "hub" and request.model.revision is None:
            raise error(f"{where}: model {request.model.name} has no published weights; ask for dummy ones.")
        named = fields.text("id")
        if named != request.id:
            raise error(
                f"{where}: the id is {named!r} but the content says {request.id!r}: it was edited. Make it again."
            )
        fields.done()
        return request


def read_request(path: str | os.PathLike[str]) -> Request:
    """Read one request file. Raises ``InputError``, for a folder or a missing file too."""
    return Request.from_json(strictjson.read(path), str(path))


def _engine_before_schema_3(stack: Stack) -> Engine:
    """Return the engine of a request of a schema without engines: the stack's packages said it."""
    return "optimum-habana" if "optimum-habana" in stack.packages else "plain"


def _optional(fields: Fields, key: str, form: patterns.Form | patterns.FreeText) -> str | None:
    """Return text of a form, None where null stands."""
    return fields.optional(lambda part, name: part.form(name, form), key)


def _finish(fields: Fields, value: Record) -> Record:
    """Return a record that was read; raise the error of ``fields`` for a key that no field of the record has."""
    fields.done()
    return value
