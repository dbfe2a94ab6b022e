"""Fill a model's parameters, one shard of one parameter at a time; no rank ever holds more than its own shards.

A source has ``fill(parameters, targets, rank, ranks, filled)``: ``parameters`` maps names to ``Parameter`` (full shape and
split), ``targets`` maps the same names to the tensors of this rank, ``filled`` is called with each name that is done. Every
target is filled or an error is raised: weights that load nothing must never be measured.
"""

import hashlib
import inspect
import os
import re
import time
from contextlib import contextmanager
from typing import Any, ContextManager, Dict, Iterator, List, Tuple

from runner.bench.facts import host
from runner.bench.inputs import checkpoint
from runner.contract import files
from runner.contract.architecture import BYTES_PER_ELEMENT, shard_shape
from runner.contract.errors import InputError, LaunchFailed
from runner.contract.text import first_line, printable

PROGRESS_S = 5
BLOCK_ELEMENTS = 1 << 18  # 2 MiB of int64 scratch, inside a core's second-level cache

HEAD_ROWS = 1 << 12  # of a stored head, compared at a time

_EMBEDDINGS = "transformer.word_embeddings.weight"
# Stands beside the parameters' names: ``lm_head.weight`` is a sharded model's cut of the embeddings.
_STORED_HEAD = "the stored head"

# SplitMix64 (Steele, Lea, Flood 2014): the golden-ratio step and the two mixing multipliers, as signed 64-bit numbers.
_STEP, _MIX_1, _MIX_2 = (value - (1 << 64) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class DummyWeights:
    """Seeded weights whose every element is a pure function of seed, parameter name and place.

    The same numbers come out on any device, any torch version and any number of ranks, since only integer operations
    and one float32 multiplication are used. Values are uniform with standard deviation ``std``; layer norms are the
    identity, as in a fresh model. At the usual 0.02 a tied BLOOM only echoes its last prompt token, at 0.3 tokens depend
    on the seed.
    """

    def __init__(self, seed, std):
        self.seed, self.std = seed, std

    def fill(self, parameters, targets, rank, ranks, filled=lambda name: None):
        for name, target in targets.items():
            parameter = parameters[name]
            if "layernorm" in name or ".ln_f." in name:
                target.fill_(1.0 if name.endswith(".weight") else 0.0)
            else:
                self._fill_shard(parameter, target, rank, ranks)
            filled(name)

    def _fill_shard(self, parameter, target, rank, ranks):
        shard = shard_shape(parameter, ranks)
        starts = [rank * size if parameter.split == axis and ranks > 1 else 0 for axis, size in enumerate(shard)]
        if len(shard) == 1:  # a bias is a matrix of one column
            target, shard, starts, row_length = target.unsqueeze(1), (shard[0], 1), [starts[0], 0], 1
        else:
            row_length = parameter.shape[1]
        tied = "transformer.word_embeddings.weight" if parameter.name == "lm_head.weight" else parameter.name
        key = _key(self.seed, tied)
        rows_per_block = max(1, BLOCK_ELEMENTS // shard[1])
        # on a Gaudi 64-bit integers are cast unless PT_ENABLE_INT64_SUPPORT is set (transformers' page perf_train_gaudi)
        device = "cpu" if target.device.type == "hpu" else target.device
        for row in range(0, shard[0], rows_per_block):
            rows = min(rows_per_block, shard[0] - row)
            block = _uniform(key, starts[0] + row, rows, row_length, starts[1], shard[1], self.std, device)
            target[row : row + rows].copy_(block)

    def describe(self):
        return {"kind": "dummy", "seed": self.seed, "std": self.std, "revision": None, "format": None, "files": []}


class CheckpointWeights:
    """Weights of a model folder: the files that ``checkpoint.find`` names, safetensors read by slices, ``*.bin`` without code.

    A stack that has no package for safetensors, as those of 2023, takes ``*.bin``, as the scripts of its time do.

    ``pinned`` maps file names to the sha256 that ``verify`` has compared. Keys may be bigscience/bloom's (``h.0...``) or
    transformers' (``transformer.h.0...``). A tensor that is missing, unknown, misshapen, met twice or no matrix of floating-point
    numbers is an ``InputError``, and so is a stored LM head that is not the embeddings.
    """

    def __init__(self, folder, pinned):
        found = checkpoint.find(folder, pinned)
        self.folder, self.pinned, self.format, self.files = folder, pinned, found.form, found.paths

    def fill(self, parameters, targets, rank, ranks, filled=lambda name: None):
        found: dict = {}  # of each parameter, and of a stored head, the file that holds it
        for path in self.files:
            with self._open(path) as tensors:
                for key in tensors.keys():
                    for name in _names(key):
                        if name in found:
                            raise InputError(
                                f"{path} holds {key!r}, which {found[name]} holds too. Fetch {self.folder} again, whole."
                            )
                        if name not in parameters and name != _STORED_HEAD:
                            raise InputError(
                                f"{path} holds {key!r}, which {self.folder}'s BLOOM has not. It is another model's file."
                            )
                        found[name] = path
                        if name in targets:
                            _copy(tensors, key, parameters[name], targets[name], rank, ranks, path)
                            filled(name)
        missing = sorted(set(targets) - set(found))
        if missing:
            raise InputError(
                f"{self.folder} lacks {len(missing)} of {len(targets)} tensors, {missing[0]} first. Fetch it again, whole."
            )
        # one rank is enough to tell, and the head is as large as the embeddings
        if _STORED_HEAD in found and rank == 0:
            self._refuse_other_head(found[_STORED_HEAD], found[_EMBEDDINGS])

    def _open(self, path: str) -> ContextManager[Any]:
        return (_open_safetensors if self.format == "safetensors" else _open_bin)(path)

    def _refuse_other_head(self, head_path: str, embeddings_path: str) -> None:
        """Raise ``InputError`` if a stored LM head is not the word embeddings: this kit measures tied models alone."""
        import torch

        with self._open(head_path) as one, self._open(embeddings_path) as other:
            (key,) = (key for key in other.keys() if _EMBEDDINGS in _names(key))
            head, embeddings = one.get_slice("lm_head.weight"), other.get_slice(key)
            rows = _shape(embeddings)[0]
            same = _shape(head) == _shape(embeddings) and all(
                torch.equal(head[row : row + HEAD_ROWS], embeddings[row : row + HEAD_ROWS])
                for row in range(0, rows, HEAD_ROWS)
            )
        if not same:
            raise InputError(
                f"{head_path} holds an LM head of its own, other than the embeddings. It is a checkpoint of another kind, which"
                " cannot be measured."
            )

    def describe(self):
        files = [
            {
                "name": os.path.basename(path),
                "bytes": os.path.getsize(path),
                "sha256": self.pinned.get(os.path.basename(path)),
            }
            for path in self.files
        ]
        return {
            "kind": "hub",
            "seed": None,
            "std": None,
            "revision": observed_revision(self.folder),
            "format": self.format,
            "files": files,
        }


def source(request, folder):
    """Return the source of the weights that a request asks for; ``folder`` is the model's, None for dummy weights."""
    if folder is None:
        return DummyWeights(request.weights.seed, request.weights.std)
    return CheckpointWeights(folder, request.model.files)


def verify(folder: str, pinned: Dict[str, str]) -> checkpoint.Verified:
    """Compare every weight file of ``folder`` with its pinned sha256, before anything opens it; return what was compared.

    Raises ``InputError`` for a file that is not the pinned one, and for a pickle that is not pinned: loading it safely
    rests on one flag of torch, which has been bypassed before (CVE-2025-32434, CVE-2026-24747).
    """
    source = CheckpointWeights(folder, pinned)
    checkpoint.refuse_pointers(folder, map(os.path.basename, source.files))
    state = checkpoint.verified(source.files)
    for path in source.files:
        wanted = pinned.get(os.path.basename(path))
        if wanted is None and source.format == "bin":
            raise InputError(
                f"{path} is a pickle whose sha256 is not in versions.lock: it is not opened. Take safetensors,"
                " or run `python -m runner lock --only hub` where the hub can be reached, and make the request again."
            )
        try:
            if wanted is None:
                files.open_regular(path).close()
            elif files.sha256_of_file(path) != wanted:
                raise InputError(f"{path} is not the file that is pinned: its sha256 differs. Fetch it again.")
        except OSError as problem:
            raise InputError(f"{path} cannot be read: {files.reason(problem)}. Check --model-dir.") from None
    return state


def fill(model, architecture, source, rank, ranks, say=lambda text: None):
    """Fill all parameters of a ``BloomForCausalLM`` (whole, or sharded by DeepSpeed) from ``source``; see ``fill_named``."""
    named = dict(model.named_parameters())  # a tied head is not listed twice
    fill_named(named, architecture, source, rank, ranks, say)


def fill_named(targets, architecture, source, rank, ranks, say=lambda text: None):
    """Fill the tensors of this rank, given by the names that transformers has for them, from ``source``.

    ``say`` shows progress, at most every ``PROGRESS_S`` seconds.
    Raises ``LaunchFailed`` if the model's shapes are not those that the architecture and the split prescribe.
    """
    import torch

    parameters = {parameter.name: parameter for parameter in architecture.parameters()}
    parameters["lm_head.weight"] = architecture.head_shard()
    targets = {name: held(parameter) for name, parameter in targets.items()}
    for name, target in targets.items():
        wanted = shard_shape(parameters[name], ranks) if name in parameters else None
        if wanted is None or tuple(target.shape) != wanted:
            raise LaunchFailed(
                f"Rank {rank} of {ranks}: {name} is {tuple(target.shape)}, {wanted} was expected. The stack shards BLOOM otherwise."
            )
    unknown = sorted(set(parameters) - set(targets) - {"lm_head.weight"})
    if unknown:
        raise LaunchFailed(
            f"Rank {rank} of {ranks}: the model has no parameter {unknown[0]} ({len(unknown)} are missing). It would generate"
            " from memory that nobody filled; the stack shards BLOOM otherwise."
        )
    with torch.no_grad():
        source.fill(parameters, targets, rank, ranks, _progress(targets, say))


def held(parameter):
    """Return what this rank holds of a parameter: itself, or its part of one that torch knows to be cut."""
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter


def _progress(targets, say):
    """Return a function that counts the bytes of filled targets and tells them now and then."""
    sizes = {name: target.numel() * target.element_size() for name, target in targets.items()}
    total, state = sum(sizes.values()), {"done": 0, "said_s": time.monotonic()}

    def filled(name):
        state["done"] += sizes[name]
        if time.monotonic() - state["said_s"] >= PROGRESS_S:
            state["said_s"] = time.monotonic()
            say(f"loaded {state['done'] / 1e9:.1f} of {total / 1e9:.1f} GB of this rank's weights")

    return filled


def _key(seed, name):
    """Return a signed 64-bit number that is this parameter's own."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def _uniform(key, first_row, rows, row_length, first_column, columns, std, device):
    """Return float32 [rows, columns]: SplitMix64 of the elements' places, its upper 24 bits as a symmetric uniform number."""
    import torch

    row = torch.arange(first_row, first_row + rows, dtype=torch.int64, device=device).mul_(row_length).unsqueeze_(1)
    column = torch.arange(first_column, first_column + columns, dtype=torch.int64, device=device).unsqueeze_(0)
    z = (row + column).mul_(_STEP).add_(key)
    z.bitwise_xor_(_shift_right(z, 30)).mul_(_MIX_1)
    z.bitwise_xor_(_shift_right(z, 27)).mul_(_MIX_2)
    z.bitwise_xor_(_shift_right(z, 31))
    odd = _shift_right(z, 40).mul_(2).add_(1 - (1 << 24))  # odd numbers in (-2**24, 2**24): exact in float32
    return odd.to(torch.float32).mul_(std * 3**0.5 / (1 << 24))


def _shift_right(z, bits):
    """Shift as unsigned: torch shifts int64 with its sign."""
    return z.bitwise_right_shift(bits).bitwise_and_((1 << (64 - bits)) - 1)


@contextmanager
def _opened(path: str) -> Iterator[str]:
    """Yield a path to the file that was opened: libraries that open the path again get this file, never a FIFO or another."""
    try:
        file = files.open_regular(path)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {files.reason(problem)}. Check --model-dir.") from None
    with file:
        yield f"/proc/self/fd/{file.fileno()}"


@contextmanager
def _open_safetensors(path: str) -> Iterator[Any]:
    import safetensors

    with _opened(path) as opened:
        try:
            tensors = safetensors.safe_open(opened, framework="pt")
        except Exception as problem:  # the class is the extension module's own
            raise _refused(path, problem) from None
        with tensors:
            yield tensors


@contextmanager
def _open_bin(path: str) -> Iterator["_Bin"]:
    """Yield a ``*.bin`` as a mapping of tensors, without running code from it: ``weights_only``, mapped from disk where it can be."""
    import torch

    mapped = {"mmap": True} if "mmap" in inspect.signature(torch.load).parameters else {}  # since torch 2.1
    with _opened(path) as opened:
        try:
            try:
                tensors = torch.load(opened, map_location="cpu", weights_only=True, **mapped)
            except RuntimeError:  # files written before torch 1.6 are not zip archives and cannot be mapped
                tensors = torch.load(opened, map_location="cpu", weights_only=True)
        except Exception as problem:  # a dozen classes, from unpickling and from zip
            raise _refused(path, problem) from None
        whole = isinstance(tensors, dict) and all(isinstance(key, str) for key in tensors)
        if not whole or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
            raise _refused(path, "what it holds is no mapping from names to tensors")
        yield _Bin(tensors)


class _Bin:
    """The tensors of a ``*.bin``, with the words of safetensors."""

    def __init__(self, tensors: Dict[str, Any]) -> None:
        self._tensors = tensors

    def keys(self) -> List[str]:
        return list(self._tensors)

    def get_slice(self, key: str) -> Any:
        return self._tensors[key]


def _refused(path, problem):
    told = first_line(problem, 200)
    return InputError(
        f"{path} is refused: it is no whole, plain file of tensors ({told}). Fetch it again, or take safetensors."
    )


def _names(key):
    """Return the parameters that a checkpoint key fills; embeddings fill a sharded head too, a stored head is only compared."""
    if key == "lm_head.weight":
        return [_STORED_HEAD]
    name = key if key.startswith("transformer.") else f"transformer.{key}"
    return [name, "lm_head.weight"] if name == _EMBEDDINGS else [name]


def _shape(stored: Any) -> Tuple[int, ...]:
    return tuple(stored.get_shape() if hasattr(stored, "get_shape") else stored.shape)


def _copy(tensors, key, parameter, target, rank, ranks, path):
    stored = tensors.get_slice(key)
    shape = _shape(stored)
    if shape != parameter.shape:
        raise InputError(f"{path}: {key} is {shape}, {parameter.shape} was expected. It is another model's file.")
    cut = [slice(None)] * len(shape)
    if parameter.split is not None and ranks > 1:
        size = shape[parameter.split] // ranks
        cut[parameter.split] = slice(rank * size, (rank + 1) * size)
    part = stored[tuple(cut)]
    dtype = str(part.dtype).replace("torch.", "")
    if dtype not in BYTES_PER_ELEMENT:
        raise InputError(
            f"{path}: {key} holds {dtype}, one of {', '.join(BYTES_PER_ELEMENT)} was expected. It is a quantised checkpoint, or"
            " one of another kind, which cannot be measured."
        )
    target.copy_(part)


def observed_revision(folder):
    """Return the revision that a model folder says it is of, None where it does not say.

    A hub cache names its snapshots by revision; ``hf download --local-dir`` notes it beside each file; a clone has a HEAD.
    """
    if re.fullmatch(r"[0-9a-f]{40}", os.path.basename(os.path.abspath(folder))):
        return os.path.basename(os.path.abspath(folder))
    noted = host.read_text(os.path.join(folder, ".cache", "huggingface", "download", "config.json.metadata"))
    if noted:
        return noted.splitlines()[0]
    head = host.read_text(os.path.join(folder, ".git", "HEAD"))
    if head and head.startswith("ref: "):
        head = host.read_text(os.path.join(folder, ".git", *head[len("ref: ") :].split("/")))
    return head


def locate(model, model_dir):
    """Return the folder of a model's real weights: ``model_dir`` if given, else the hub cache at the pinned revision.

    Nothing is fetched: measuring is offline. Raises ``InputError`` that says how to fetch.
    """
    if model_dir is not None:
        if not os.path.lexists(os.path.join(model_dir, "config.json")):
            raise InputError(f"{model_dir} holds no config.json: it is no model folder. Check --model-dir.")
        revision = observed_revision(model_dir)
        if revision not in (None, model.revision):
            raise InputError(
                f"{model_dir} holds revision {printable(revision, 80)} of the model; {model.revision} is pinned."
                f" Fetch that one: hf download {model.repository} --revision {model.revision} --local-dir {model_dir}"
            )
        checkpoint.refuse_pointers(model_dir, ("config.json", "tokenizer.json"))
        return model_dir
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(model.repository, revision=model.revision, local_files_only=True)
    except Exception as problem:
        if re.match(r"LocalEntryNotFound|LocalCacheNotFound|OfflineModeIsEnabled|FileNotFound", type(problem).__name__):
            raise InputError(
                f"{model.repository} at {model.revision} is not in the hub cache."
                f" Fetch it first: hf download {model.repository} --revision {model.revision}, or pass --model-dir."
            ) from None
        first = printable(" ".join(str(problem).split()), 200)
        raise InputError(
            f"{model.repository} at {model.revision} cannot be taken from the hub cache ({type(problem).__name__}: {first})."
            " Fetch it again, or pass --model-dir."
        ) from None
