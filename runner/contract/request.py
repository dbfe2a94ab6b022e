"""A request: one case with every pin filled in. Its id is a hash of its content, so a moved pin is a new id."""

import re
from dataclasses import asdict, dataclass, field
from typing import Dict, List, Optional

from runner.contract import strictjson
from runner.contract.architecture import BYTES_PER_ELEMENT, Architecture
from runner.contract.errors import InputError
from runner.contract.estimator import ESTIMATORS
from runner.contract.fields import Fields

# History of the schema; a request of an older one keeps it, and so its id:
#   1  first
#   2  expected: what is known of the ids beforehand; the stack's driver
#   3  engine; the stack's firmware
SCHEMA = 3

DEVICES = ("hpu", "cuda", "cpu")  # the kinds of processor, as torch names them
LAUNCHERS = ("deepspeed", "torchrun")
ENGINES = ("plain", "optimum-habana", "kernel-injection", "compiled")  # ways to run a BLOOM, a module of bench each
DATASET_FORMATS = ("json", "csv", "parquet")  # the builders of ``datasets`` that read data and run no code
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?")  # a case name and its hash fit a Kubernetes label of 63
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Accelerator:
    """A product that a claim names. ``memory_bytes`` is per device; null where the host's memory is the device's."""

    name: str
    device: str
    memory_bytes: Optional[int]
    hbm_bytes_per_s: Optional[float]

    @classmethod
    def from_fields(cls, fields):
        return _finish(
            fields,
            cls(
                name=fields.text("name"),
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
    device: str
    python: str
    launcher: str
    packages: Dict[str, str]
    requirements_sha256: Optional[str]
    image: Optional[str]
    driver: Optional[str] = None
    firmware: Optional[str] = None

    @classmethod
    def from_fields(cls, fields):
        packages = fields.fields("packages")
        return _finish(
            fields,
            cls(
                name=fields.text("name"),
                device=fields.choice("device", DEVICES),
                python=fields.text("python"),
                launcher=fields.choice("launcher", LAUNCHERS),
                packages={name: packages.text(name) for name in packages.keys()},
                requirements_sha256=fields.optional(Fields.text, "requirements_sha256"),
                image=fields.optional(Fields.text, "image"),
                driver=fields.text("driver", None),
                firmware=fields.text("firmware", None),
            ),
        )


@dataclass(frozen=True)
class Model:
    """A BLOOM by name. ``repository`` and ``revision`` (40 hex digits) are null for dummy weights.

    ``files`` maps names of the revision's large files to their sha256; empty where the lock has none.
    """

    name: str
    architecture: Architecture
    repository: Optional[str]
    revision: Optional[str]
    files: Dict[str, str]

    @classmethod
    def from_fields(cls, fields):
        files = fields.fields("files")
        return _finish(
            fields,
            cls(
                name=fields.text("name"),
                architecture=Architecture.from_fields(fields.fields("architecture")),
                repository=fields.optional(Fields.text, "repository"),
                revision=fields.optional(Fields.text, "revision"),
                files={name: files.pattern(name, SHA256, "a sha256 in hex") for name in files.keys()},
            ),
        )


@dataclass(frozen=True)
class Weights:
    """``hub``: the model's own, at its revision. ``dummy``: a pure function of seed, name and place, with this spread."""

    kind: str
    seed: Optional[int]
    std: Optional[float]

    @classmethod
    def from_fields(cls, fields):
        kind = fields.choice("kind", ("hub", "dummy"))
        if kind == "hub":
            fields.take("seed", type(None), None)
            fields.take("std", type(None), None)
            return _finish(fields, cls(kind, None, None))
        return _finish(fields, cls(kind, fields.count("seed"), fields.number("std")))


@dataclass(frozen=True)
class Dataset:
    """Where prompts come from: a hub dataset at a revision, or a local file known by its sha256 and not by its path."""

    source: str
    name: str
    revision: Optional[str]
    configuration: Optional[str]
    split: Optional[str]
    format: Optional[str]
    sha256: Optional[str]
    column: str
    rows: Optional[int]

    @classmethod
    def from_fields(cls, fields):
        source = fields.choice("source", ("hub", "file"))
        value = cls(
            source=source,
            name=fields.text("name"),
            revision=fields.optional(Fields.text, "revision"),
            configuration=fields.optional(Fields.text, "configuration"),
            split=fields.optional(Fields.text, "split"),
            format=fields.optional(lambda part, key: part.choice(key, DATASET_FORMATS), "format"),
            sha256=fields.optional(Fields.text, "sha256"),
            column=fields.text("column"),
            rows=fields.optional(Fields.count, "rows"),
        )
        needed = ("revision",) if source == "hub" else ("format", "sha256")
        for key in needed:
            if getattr(value, key) is None:
                raise fields.error(f"{fields.where}: a dataset from {source} needs {key!r}.")
        return _finish(fields, value)


@dataclass(frozen=True)
class Workload:
    """What is generated: ``prompt`` repeated for each row of the batch, or the rows of ``dataset``; never both."""

    name: str
    batch_size: int
    input_tokens: int
    output_tokens: int
    precision: str
    prompt: Optional[str]
    dataset: Optional[Dataset]

    @classmethod
    def from_fields(cls, fields):
        value = cls(
            name=fields.choice("name", ("latency", "dataset")),
            batch_size=fields.count("batch_size", least=1),
            input_tokens=fields.count("input_tokens", least=1),
            output_tokens=fields.count("output_tokens", least=1),
            precision=fields.choice("precision", tuple(BYTES_PER_ELEMENT)),
            prompt=fields.optional(Fields.text, "prompt"),
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

    ``shapes`` static pads ids and mask to input + output tokens; ``token_count`` nominal trusts the asked number,
    produced counts what came out; ``graphs`` says that the published command replays device graphs.
    """

    name: str
    version: str
    untimed_calls: int
    timed_calls: int
    synchronize_before: bool
    synchronize_after: bool
    end_of_text: str
    token_count: str
    shapes: str
    graphs: bool
    estimator: str
    clock: str
    source: str

    @classmethod
    def from_fields(cls, fields):
        return _finish(
            fields,
            cls(
                name=fields.text("name"),
                version=fields.text("version"),
                untimed_calls=fields.count("untimed_calls"),
                timed_calls=fields.count("timed_calls", least=1),
                synchronize_before=fields.flag("synchronize_before"),
                synchronize_after=fields.flag("synchronize_after"),
                end_of_text=fields.choice("end_of_text", ("ignore", "stop")),
                token_count=fields.choice("token_count", ("nominal", "produced")),
                shapes=fields.choice("shapes", ("static", "dynamic")),
                graphs=fields.flag("graphs"),
                estimator=fields.choice("estimator", tuple(ESTIMATORS)),
                clock=fields.choice("clock", ("perf_counter", "time")),
                source=fields.text("source"),
            ),
        )


@dataclass(frozen=True)
class Expected:
    """What is known beforehand of one row's ids: the sha256 of their canonical JSON, null where nobody has found it yet."""

    input_ids_sha256: Optional[str]
    output_ids_sha256: Optional[str]

    @classmethod
    def from_fields(cls, fields):
        def sha256(part, key):
            return part.pattern(key, SHA256, "a sha256 in hex")

        value = cls(fields.optional(sha256, "input_ids_sha256"), fields.optional(sha256, "output_ids_sha256"))
        return _finish(fields, value)


NOTHING_EXPECTED = Expected(None, None)


@dataclass(frozen=True)
class Request:
    """One case to run ``launches`` times. ``beside`` names the claims that its result is set beside.

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
    beside: List[str]
    engine: str
    expected: Expected = NOTHING_EXPECTED
    schema: int = field(default=SCHEMA)

    @property
    def id(self):
        """Return the case's name and 12 hex digits of the sha256 of the content."""
        return f"{self.case}-{strictjson.sha256_of(self._content())[:12]}"

    def to_json(self):
        """Return the JSON mapping, with the id that a reader checks."""
        return {**self._content(), "id": self.id}

    def _content(self):
        content = {"kind": "request", **asdict(self)}
        if self.schema < 2:
            content.pop("expected")
            content["stack"].pop("driver")
        if self.schema < 3:
            content.pop("engine")
            content["stack"].pop("firmware")
        return content

    @classmethod
    def from_json(cls, value, where, error=InputError):
        """Read a request; raise ``error`` for a damaged one, a newer schema, or an id that is not its content's."""
        fields = Fields(value, where, error)
        fields.choice("kind", ("request",))
        schema = fields.count("schema", least=1)
        if schema > SCHEMA:
            raise error(f"{where} has request schema {schema}; this version reads up to {SCHEMA}. Use a newer version.")
        stack = Stack.from_fields(fields.fields("stack"))
        request = cls(
            case=fields.text("case"),
            accelerator=Accelerator.from_fields(fields.fields("accelerator")),
            devices=fields.count("devices", least=1),
            stack=stack,
            model=Model.from_fields(fields.fields("model")),
            weights=Weights.from_fields(fields.fields("weights")),
            workload=Workload.from_fields(fields.fields("workload")),
            protocol=Protocol.from_fields(fields.fields("protocol")),
            launches=fields.count("launches", least=1),
            margin=fields.fraction("margin"),
            beside=fields.texts("beside"),
            engine=fields.choice("engine", ENGINES) if schema > 2 else _engine_before_3(stack),
            expected=Expected.from_fields(fields.fields("expected")) if schema > 1 else NOTHING_EXPECTED,
            schema=schema,
        )
        if not NAME.fullmatch(request.case):
            raise error(
                f"{where}: the case name {request.case!r} must be lower-case letters, digits, dots and hyphens."
            )
        if request.stack.device != request.accelerator.device:
            raise error(
                f"{where}: stack {request.stack.name} is for {request.stack.device}, not {request.accelerator.device}."
            )
        if request.weights.kind == "hub" and request.model.revision is None:
            raise error(f"{where}: model {request.model.name} has no published weights; ask for dummy ones.")
        if fields.text("id") != request.id:
            raise error(
                f"{where}: the id is {value['id']!r} but the content says {request.id!r}: it was edited. Make it again."
            )
        fields.done()
        return request


def read_request(path):
    """Read one request file; a directory or a missing file is an ``InputError``."""
    return Request.from_json(strictjson.read(path), str(path))


def _engine_before_3(stack):
    """Return the engine of a request that names none: the stack's packages said it."""
    return "optimum-habana" if "optimum-habana" in stack.packages else "plain"


def _finish(fields, value):
    fields.done()
    return value
