"""Ask the hub for the files of a model, and fetch them, with the hub's own client."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from runner.bench.inputs import checkpoint
from runner.bench.pods import hub_files, model_cache
from runner.bench.pods.hub_files import HubFile, HubModel
from runner.contract import first_answer
from runner.contract.errors import InputError, KitError, PublishFailed, Unreachable
from runner.contract.progress import ByteCount, Task
from runner.contract.secrets import mask
from runner.contract.text import printable

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

# The files that a run reads beside weights: the model's shape, settings of generation, the tokenizer.
BESIDE_WEIGHTS = (
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
# The client's classes for something that does not exist at the hub, or that the token may not read.
_NOT_THERE = (
    "RepositoryNotFoundError",
    "RevisionNotFoundError",
    "EntryNotFoundError",
    "RemoteEntryNotFoundError",
    "GatedRepoError",
)
# Errors of this host's disk. Trying the hub again does not mend them.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_FETCHES = 2

_T = TypeVar("_T")


def list_files(model: HubModel, token: str | None) -> list[HubFile]:
    """Return the files that a run needs, sorted by name, from the hub.

    They are the pinned weights; without pins the safetensors, and without safetensors the pickles; and the files beside
    them. A name must be a plain name in the repository's own folder, so that no other text of the hub becomes a path.
    Raises ``InputError`` where a pinned file, or any weights, are missing at the hub; raises ``Unreachable`` where the
    hub fails.
    """
    return translated(model, lambda: _list_files(model, token))


def _list_files(model: HubModel, token: str | None) -> list[HubFile]:
    from huggingface_hub import HfApi

    def ask(files_metadata: bool, timeout_s: float | None) -> ModelInfo:
        return HfApi().model_info(
            model.repository, revision=model.revision, files_metadata=files_metadata, token=token, timeout=timeout_s
        )

    # the short question first: a hub that is silent is known at once, and a slow one may take its time for the long answer
    ask(files_metadata=False, timeout_s=first_answer.limit_s())
    info = ask(files_metadata=True, timeout_s=None)
    files = {file.name: file for file in map(described, info.siblings or ())}
    forms = ("safetensors", "bin")
    pinned = [checkpoint.weight_files(model.files, form) for form in forms]
    for form, pinned_names in zip(forms, pinned):
        weights = pinned_names if any(pinned) else checkpoint.weight_files(files, form)
        missing = [name for name in weights if name not in files]
        if missing:
            raise InputError(
                f"{model.repository} at {model.revision} has no {missing[0]} at the hub, which versions.lock pins. Pin the revision"
                " that was meant."
            )
        if weights:
            names = {*BESIDE_WEIGHTS, checkpoint.index_of(form), *weights}
            return sorted(file for name, file in files.items() if name in names)
    raise InputError(
        f"{model.repository} at {model.revision} has no weights that a run can read. Pin another revision."
    )


def described(entry: RepoSibling) -> HubFile:
    """Return the client's entry of a file as a ``HubFile``.

    Raises ``Unreachable`` where the hub left out the size or the hash.
    """
    # The client's classes of an entry and of a large file differ between its releases.
    large = entry.lfs
    sha256 = None if large is None else large["sha256"] if isinstance(large, dict) else large.sha256
    if entry.size is None or (sha256 is None and entry.blob_id is None):
        raise Unreachable(
            f"The hub does not say what {printable(entry.rfilename, 80)} must be: its size, or a hash, is missing. Try another"
            " mirror."
        )
    return HubFile(entry.rfilename, entry.size, sha256, None if large is not None else entry.blob_id)


def fetch(cache: str, model: HubModel, file: HubFile, token: str | None, task: Task) -> None:
    """Fetch one file into the hub cache and compare the file with the hub's description; ``task`` shows how far both are.

    What an attempt before wrote of a large file stays, and the file goes on from there. A file that differs is fetched
    once more. Raises ``InputError`` for a file that differs twice, ``Unreachable`` where the hub fails,
    ``PublishFailed`` where the disk does.
    """
    translated(model, lambda: _fetch(cache, model, file, token, task))


def _fetch(cache: str, model: HubModel, file: HubFile, token: str | None, task: Task) -> None:
    for _ in range(_FETCHES):
        if file.sha256 is not None:
            _go_on(model_cache.blob(cache, model, file.sha256), model, file, token, task)
        path = _download(cache, model, file, token)
        if hub_files.is_whole(path, file, ByteCount(task, f"comparing {file.name}", file.size_bytes).add):
            return
        task.line(f"{file.name} is not what the hub says it is; fetching it again")
        os.unlink(os.path.realpath(path))
        os.unlink(path)
    raise InputError(
        f"{file.name} of {model.repository} came twice with other content than the hub says it has. Try another mirror."
    )


def _go_on(blob: str, model: HubModel, file: HubFile, token: str | None, task: Task) -> None:
    """Fetch a large file into the hub cache under the name ``blob``, from the byte on where an attempt before ended.

    The client itself begins anew after an interruption, and a file may have 14 GB. The client then finds the blob whole.
    Raises ``Unreachable`` for a file that was cut off.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    if os.path.exists(blob):
        return
    os.makedirs(os.path.dirname(blob), exist_ok=True)
    partial = blob + model_cache.PARTIAL
    with _CountedFile(io.FileIO(partial, "ab")) as target:
        try:
            fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # another process writes there: the client fetches the file under a name of its own
        except OSError:
            return
        present_bytes = target.tell()
        if present_bytes > file.size_bytes:
            target.truncate(0)
            present_bytes = 0
        if present_bytes < file.size_bytes:
            if present_bytes:
                task.line(f"{file.name} goes on at {present_bytes / 1e9:.2f} of {file.size_bytes / 1e9:.2f} GB")
            target.count = ByteCount(task, f"fetching {file.name}", file.size_bytes, present_bytes)
            address = hf_hub_url(model.repository, file.name, revision=model.revision)
            http_get(address, target, resume_size=present_bytes, headers=build_hf_headers(token=token))
        target.flush()
        if os.path.getsize(partial) < file.size_bytes:
            raise Unreachable(
                f"{file.name} of {model.repository} was cut off at {os.path.getsize(partial):,} of {file.size_bytes:,} bytes. What is"
                " there stays; run the same command again."
            )
        os.replace(partial, blob)


class _CountedFile(io.BufferedWriter):
    """A file that tells how many bytes each write gave it."""

    count: ByteCount | None = None

    def write(self, content: Any) -> int:  # noqa: ANN401 - typeshed's ReadableBuffer has no name at run time
        """Write as a file does, and count."""
        if self.count is not None:
            self.count.add(len(content))
        return super().write(content)


def _download(cache: str, model: HubModel, file: HubFile, token: str | None) -> str:
    """Return the path of a file that the client has fetched, or found whole in the cache."""
    from huggingface_hub import hf_hub_download

    path: str = hf_hub_download(model.repository, file.name, revision=model.revision, cache_dir=cache, token=token)
    return path


def translated(model: HubModel, work: Callable[[], _T]) -> _T:
    """Return ``work()``. An exception of the hub's client becomes an error that says what to do.

    The client's classes differ between its releases, and are told apart by their names.
    Raises ``InputError`` for what is not at the hub, ``Unreachable`` where another attempt may succeed,
    ``PublishFailed`` where this host's disk fails.
    """
    try:
        return work()
    except KitError:
        raise
    except OSError as problem:
        if problem.errno in _DISK_ERRORS:
            raise PublishFailed(f"{problem.filename or 'The folder'} cannot be written: {problem.strerror}.") from None
        raise _hub_error(model, problem) from None
    except Exception as problem:
        raise _hub_error(model, problem) from None


def _address() -> str:
    """Return the address of the hub that the client asks: the client's own default, or the mirror that a variable names."""
    return mask(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")


def _hub_error(model: HubModel, problem: Exception) -> KitError:
    name, words = type(problem).__name__, printable(" ".join(str(problem).split()), 300)
    if name in _NOT_THERE:
        return InputError(f"The hub has no {model.repository} at {model.revision} for this token: {words}")
    if name == "OfflineModeIsEnabled":
        return Unreachable(
            f"{model.repository} could not be fetched: HF_HUB_OFFLINE is set. What is there stays; unset the variable, and run the same"
            " command again."
        )
    return Unreachable(
        f"{model.repository} could not be fetched from {_address()} ({name}: {words}). Look at the network and HTTPS_PROXY, or name a"
        " mirror in HF_ENDPOINT. What is there stays; run the same command again."
    )
