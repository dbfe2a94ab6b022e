"""Find and verify the files of a model: all files of its folder that the lock or an index names, and no others.

No other file of the folder is opened: one stray file of tensors would change every token that is measured.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Iterable, Literal, Mapping

from runner.contract import files, strictjson
from runner.contract.architecture import CONFIG_NAMES, Architecture
from runner.contract.errors import InputError, LaunchFailed
from runner.contract.progress import SILENT, ByteCount, Task
from runner.contract.records import JsonObject
from runner.contract.text import printable

# The forms of weight files.
Form = Literal["safetensors", "bin"]
FORMS: tuple[Form, ...] = ("safetensors", "bin")

# For each form the name of a checkpoint that is one file, and the pattern of the names of weight files.
_FORMS: dict[str, tuple[str, re.Pattern[str]]] = {
    # A leading dot hides a file: macOS keeps the attributes of a file beside the file, as ._model.safetensors.
    "safetensors": ("model.safetensors", re.compile(r"[^./\\\0-\x1f][^/\\\0-\x1f]*\.safetensors")),
    "bin": ("pytorch_model.bin", re.compile(r"pytorch_model[^/\\\0-\x1f]*\.bin")),
}
_NUMBERED = re.compile(r"(.+?)[-_]([0-9]+)-of-([0-9]+)\.(?:safetensors|bin)")

# The ids of BLOOM's special tokens, from its published configs.
SPECIAL_IDS = {"unk_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}


@dataclass(frozen=True)
class Checkpoint:
    """The weight files of a model folder: their form, and their sorted paths."""

    form: Form
    paths: list[str]


@dataclass(frozen=True)
class Settings:
    """The settings of a model's config.json that are not sizes."""

    layer_norm_epsilon: float
    residual_after_layernorm: bool


@dataclass(frozen=True)
class Verified:
    """Files that were compared: each path with the state that the file had then, see ``_state``."""

    states: dict[str, tuple[int, int, int]]

    def refuse_changed(self) -> None:
        """Raise ``LaunchFailed`` if a file was changed or replaced since the files were compared."""
        for path, state in self.states.items():
            if _state(path) != state:
                raise LaunchFailed(
                    f"{path} was changed or replaced after it was compared: what was measured may be another model."
                    " Measure again while nobody writes there."
                )


def verified(paths: Iterable[str]) -> Verified:
    """Return the files at ``paths`` in their present state."""
    return Verified({path: _state(path) for path in paths})


def _state(path: str) -> tuple[int, int, int]:
    """Return size in bytes and the times of the last changes, in nanoseconds, of a file and of its entry; -1 for no file.

    The inode is left out: file systems of object stores number their files anew.
    """
    try:
        status = os.stat(path)
    except OSError:
        return (-1, -1, -1)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def verify(folder: str, pinned: Mapping[str, str], task: Task = SILENT) -> Verified:
    """Compare every weight file of ``folder`` with its pinned sha256, before anything opens it; return the compared files.

    ``task`` shows how far the comparison is: hashing 352 GB takes minutes.
    Raises ``InputError`` for a file that is not the pinned one, and for a pickle that is not pinned: loading a pickle safely
    rests on one flag of torch, which has been bypassed before (CVE-2025-32434, CVE-2026-24747).
    """
    checkpoint = find(folder, pinned)
    refuse_pointers(folder, map(os.path.basename, checkpoint.paths))
    before = verified(checkpoint.paths)
    count = ByteCount(task, "comparing weight files", sum(size_bytes for size_bytes, *_ in before.states.values()))
    for path in checkpoint.paths:
        sha256 = pinned.get(os.path.basename(path))
        if sha256 is None and checkpoint.form == "bin":
            raise InputError(
                f"{path} is a pickle whose sha256 is not in versions.lock: it is not opened. Take safetensors,"
                " or run `python -m runner lock --only hub` where the hub can be reached, and make the request again."
            )
        try:
            if sha256 is None:
                files.open_regular(path).close()
            elif files.sha256_of_file(path, count.add) != sha256:
                raise InputError(f"{path} is not the file that is pinned: its sha256 differs. Fetch it again.")
        except OSError as problem:
            raise InputError(f"{path} cannot be read: {files.reason(problem)}. Check --model-dir.") from None
    return before


def find(folder: str, pinned: Mapping[str, str]) -> Checkpoint:
    """Return the checkpoint of a folder: safetensors where the stack can read them and the folder has them, else ``*.bin``.

    ``pinned`` maps the names of the revision's large files to their sha256. The index names the weight files; without an index
    the pins name them; without both they are the one file of the usual name, or one whole numbered set.
    Raises ``InputError`` for a folder that lacks a weight file, or where nothing says which files belong together.
    """
    present = _names(folder)
    pins = {form: set(weight_files(pinned, form)) for form in FORMS}
    readable = [form for form in FORMS if form != "safetensors" or importlib.util.find_spec("safetensors")]
    for form in readable:
        candidates = pins[form] if any(pins.values()) else set(weight_files(present, form))
        if candidates & present:
            names = _named(folder, form, present, pins[form])
            missing = sorted(names - present)
            if missing:
                raise InputError(
                    f"{folder} lacks {len(missing)} of {len(names)} weight files, {missing[0]} first. Fetch it again, whole."
                )
            return Checkpoint(form, [os.path.join(folder, name) for name in sorted(names)])
    if any(pins.values()):
        first = min(pins[readable[0]] or pins["bin"] or pins["safetensors"])
        raise InputError(
            f"{folder} holds none of the weight files that versions.lock pins and this stack can read, {first} say. Fetch the"
            " weights, or pass another --model-dir."
        )
    patterns: dict[Form, str] = {"safetensors": "*.safetensors", "bin": "pytorch_model*.bin"}
    raise InputError(
        f"{folder} holds no {' nor '.join(patterns[form] for form in readable)}, which this stack can read. Fetch the weights,"
        " or pass another --model-dir."
    )


def weight_files(names: Iterable[str], form: str) -> list[str]:
    """Return the names that are names of weight files of a form, in a model's own folder."""
    return [name for name in names if _FORMS[form][1].fullmatch(name)]


def refuse_pointers(folder: str, names: Iterable[str]) -> None:
    """Raise ``InputError`` for a file that git left as a pointer, since git-lfs was not installed at the clone."""
    for path in (os.path.join(folder, name) for name in names):
        try:
            with files.open_regular(path) as file:
                pointer = file.read(len(files.POINTER)) == files.POINTER
        # The code that reads the file tells what is wrong with it.
        except OSError:
            continue
        if pointer:
            raise InputError(
                f"{path} is a pointer of git-lfs, not the file itself. Install git-lfs, and run `git lfs pull` in {folder}."
            )


def index_of(form: str) -> str:
    """Return the name of the index that says which files of a form make the checkpoint."""
    return f"{_FORMS[form][0]}.index.json"


def _names(folder: str) -> set[str]:
    """Return the names of everything in a folder. Raises ``InputError`` where the folder cannot be read."""
    try:
        return set(os.listdir(folder))
    except OSError as problem:
        raise InputError(f"{folder} cannot be read: {files.reason(problem)}. Check --model-dir.") from None


def _named(folder: str, form: str, present: set[str], pins: set[str]) -> set[str]:
    """Return the names of the files that make the checkpoint, whether or not the folder has them."""
    single = _FORMS[form][0]
    index = index_of(form)
    if index in present:
        names = _of_index(os.path.join(folder, index), form)
        strangers = sorted(names - pins) if pins else []
        if strangers:
            raise InputError(
                f"{os.path.join(folder, index)} names {strangers[0]}, which versions.lock does not pin. Fetch the folder again,"
                " whole, at the pinned revision."
            )
        return names
    if pins:
        return pins
    if single in present:
        return {single}
    sets: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for name in present:
        match = _NUMBERED.fullmatch(name)
        if match and _FORMS[form][1].fullmatch(name):
            sets[match[1], match[3]].add(name)
    if len(sets) == 1:
        ((stem, total), names) = next(iter(sets.items()))
        if {int(_numbered(name)) for name in names} == set(range(1, int(total) + 1)) and len(names) == int(total):
            return names
        raise InputError(
            f"{folder} holds {len(names)} of the {int(total)} weight files {stem}-N-of-{total}. Fetch it again, whole."
        )
    raise InputError(
        f"Nothing says which weight files of {folder} belong together: it has neither {single} nor {index}, and the lock has no"
        f" sha256 of them. Fetch {index} too."
    )


def _numbered(name: str) -> str:
    """Return the number of a file of a numbered set, as text; empty for another file."""
    match = _NUMBERED.fullmatch(name)
    return match[2] if match else ""


def _of_index(path: str, form: str) -> set[str]:
    """Return the files that an index names, all of its own folder.

    Raises ``InputError`` for a file that is no index, and for an index that names another file.
    """
    index = strictjson.read(path)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(name, str) for name in weight_map.values())
    ):
        raise InputError(f"{path} is no index: it has no weight_map from tensors to files. Fetch it again.")
    names = set(weight_map.values())
    foreign = sorted(name for name in names if not _FORMS[form][1].fullmatch(name))
    if foreign:
        raise InputError(
            f"{path} names {printable(foreign[0], 80)!r}, which is no weight file of its own folder. Fetch it again."
        )
    return names


def settings(folder: str, architecture: Architecture) -> Settings:
    """Read a folder's config.json. Raises ``InputError`` for a damaged file, and for another model than the request's."""
    path = os.path.join(folder, "config.json")
    stored = strictjson.read(path)
    if not isinstance(stored, dict):
        raise InputError(f"{path} is no configuration of a model: it holds no mapping. Fetch it again.")
    sizes = {names[0]: _size(stored, names, path) for names in CONFIG_NAMES}
    if stored.get("model_type") != "bloom" or sizes != {name: getattr(architecture, name) for name in sizes}:
        described = ", ".join(f"{name} {value}" for name, value in sizes.items())
        raise InputError(
            f"{path} is a {printable(str(stored.get('model_type')), 80)} of {described}, the request names {architecture}."
            " Check --model and --model-dir."
        )
    allowed: dict[str, tuple[Any, ...]] = {name: (None, value) for name, value in SPECIAL_IDS.items()}
    allowed["tie_word_embeddings"] = (None, True)
    allowed["n_inner"] = (None, 4 * architecture.hidden_size)
    allowed["quantization_config"] = (None,)
    for name, values in allowed.items():
        value = stored.get(name)
        if not any(
            value is allowed_value or (type(value) is type(allowed_value) and value == allowed_value)
            for allowed_value in values
        ):
            raise InputError(
                f"{path} has {name} {printable(repr(value), 80)}, and a BLOOM of this kit has {values[-1]}. It is a checkpoint of"
                " another kind, which cannot be measured."
            )
    epsilon = stored.get("layer_norm_epsilon", 1e-5)
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon < 1:
        raise InputError(
            f"{path} has layer_norm_epsilon {printable(repr(epsilon), 80)}, which is none. Fetch it again."
        )
    residual = stored.get("apply_residual_connection_post_layernorm", False)
    if not isinstance(residual, bool):
        raise InputError(
            f"{path} has apply_residual_connection_post_layernorm {printable(repr(residual), 80)}, neither true nor false."
            " Fetch it again."
        )
    return Settings(float(epsilon), residual)


def _size(stored: JsonObject, names: tuple[str, ...], path: str) -> int | None:
    """Return a size that a config may give under several names, None where it does not.

    Raises ``InputError`` where the names have different values, and for a value that is no whole number.
    """
    values = [stored[name] for name in names if stored.get(name) is not None]
    if any(isinstance(value, bool) or not isinstance(value, int) for value in values) or len(set(values)) > 1:
        raise InputError(
            f"{path} has {printable(repr(values), 80)} for {' and '.join(names)}, one whole number is expected. Fetch it again."
        )
    return values[0] if values else None
