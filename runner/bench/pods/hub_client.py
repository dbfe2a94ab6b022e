"""Ask the hub for the files of a model, and fetch them, with the hub's own client."""

from __future__ import annotations

import errno
import hashlib
import inspect
import os
from typing import TYPE_CHECKING, Callable, NamedTuple, TypeVar

from runner.bench.inputs import checkpoint
from runner.contract.errors import InputError, KitError, PublishFailed, Unreachable
from runner.contract.files import read_bytes, sha256_of_file
from runner.contract.request import Model
from runner.contract.text import printable

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

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


class HubModel(NamedTuple):
    """A model at the hub: its repository at a pinned revision.

    ``files`` maps names of weight files to their locked sha256.
    """

    name: str
    repository: str
    revision: str
    files: dict[str, str]

    @classmethod
    def of(cls, model: Model) -> HubModel:
        """Return the hub's part of a request's model whose weights come from the hub."""
        # A request for the hub's weights names both; its reader refuses any other.
        assert model.repository is not None and model.revision is not None
        return cls(model.name, model.repository, model.revision, model.files)


class HubFile(NamedTuple):
    """A file as the hub describes it: the sha256 of a large file, or the git blob id of a small one."""

    name: str
    size_bytes: int
    sha256: str | None
    git_blob: str | None


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

    info = HfApi().model_info(model.repository, revision=model.revision, files_metadata=True, token=token)
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


def fetch(cache: str, model: HubModel, file: HubFile, token: str | None, show: Callable[[str], None]) -> None:
    """Fetch one file into the hub cache and compare the file with the hub's description.

    A file that differs is fetched once more.
    Raises ``InputError`` for a file that differs twice, ``Unreachable`` where the hub fails, ``PublishFailed`` where
    the disk does.
    """
    translated(model, lambda: _fetch(cache, model, file, token, show))


def _fetch(cache: str, model: HubModel, file: HubFile, token: str | None, show: Callable[[str], None]) -> None:
    for _ in range(_FETCHES):
        path = _download(cache, model, file, token)
        if _is_whole(path, file):
            return
        show(f"{file.name} is not what the hub says it is; fetching it again")
        os.unlink(os.path.realpath(path))
        os.unlink(path)
    raise InputError(
        f"{file.name} of {model.repository} came twice with other content than the hub says it has. Try another mirror."
    )


def _download(cache: str, model: HubModel, file: HubFile, token: str | None) -> str:
    """Return the path of a file that the client has fetched, or found whole in the cache."""
    from huggingface_hub import hf_hub_download

    # Before release 0.23 the client goes on with half of a file only if asked; since release 1.0 it cannot be asked.
    resume = {"resume_download": True} if _must_ask_to_resume(hf_hub_download) else {}
    path: str = hf_hub_download(
        model.repository, file.name, revision=model.revision, cache_dir=cache, token=token, **resume
    )
    return path


def _must_ask_to_resume(function: Callable[..., object]) -> bool:
    parameter = inspect.signature(function).parameters.get("resume_download")
    return parameter is not None and parameter.default is False


def _is_whole(path: str, file: HubFile) -> bool:
    if os.path.getsize(path) != file.size_bytes:
        return False
    if file.sha256 is not None:
        return sha256_of_file(path) == file.sha256
    content = read_bytes(path, file.size_bytes)
    # git names a blob by the sha1 of its length and content.
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file.git_blob  # noqa: S324


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


def _hub_error(model: HubModel, problem: Exception) -> KitError:
    name, words = type(problem).__name__, printable(" ".join(str(problem).split()), 300)
    if name in _NOT_THERE:
        return InputError(f"The hub has no {model.repository} at {model.revision} for this token: {words}")
    return Unreachable(
        f"{model.repository} could not be fetched ({name}: {words}). What is there stays; run the same command again."
    )
