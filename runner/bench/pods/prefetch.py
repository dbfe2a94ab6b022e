"""The verb ``prefetch``: fetch the weights of requests into a folder, whole and checked, or wait until they are there.

The folder has the hub cache's own layout below ``hub/``. Markers are written last, after everything was compared: a launch that
found one would else measure while the rest is still being written.
"""

import errno
import hashlib
import inspect
import os
import re
import sys
import time
from collections import namedtuple

from runner.bench.inputs import checkpoint
from runner.contract import arguments as flags
from runner.contract import publish, strictjson
from runner.contract.arguments import verb_parser
from runner.contract.errors import DoesNotFit, InputError, KitError, PublishFailed, Unreachable
from runner.contract.files import read_bytes, reason, sha256_of_file
from runner.contract.request import Model, read_request
from runner.contract.secrets import remember
from runner.contract.text import printable

POLL_S = 5
HALF_IS_OLD_S = 3600
TOKEN_BYTES = 1 << 16

_HALF = re.compile(r"\.[0-9a-f]{8}\.incomplete$")

# What a run reads beside weights: shape, settings of generation, tokenizer.
BESIDE = (
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)

# A file as the hub describes it: its size, and the sha256 (large files) or the git blob id (small ones) of its content.
_File = namedtuple("_File", "name size sha256 blob_id")


def parser():
    described = verb_parser(
        "prefetch",
        description="Fetch the real weights that the requests ask for, at their pinned revisions, and compare every file with the"
        " sha256 in the request, or with what the hub says of it where the request has none. Whole files of an attempt before"
        " stay.",
    )
    described.add_argument(
        "requests", nargs="+", metavar="REQUEST", help="a file that `python -m runner request` wrote"
    )
    described.add_argument("--models", required=True, metavar="FOLDER", help="where weights go")
    described.add_argument(
        "--token-file", metavar="FILE", help="a file with a token of the hub; none if it is not there"
    )
    described.add_argument(
        "--wait-s", type=flags.seconds, metavar="SECONDS", help="fetch nothing; wait until another has, at most so long"
    )
    return described


def main(arguments):
    """Fetch, or wait for, all models and return 0; where everything is there already, nothing is asked of the hub."""
    options = parser().parse_args(arguments)
    requests = [read_request(path) for path in options.requests]
    wanted = {request.model.revision: request.model for request in requests if request.weights.kind == "hub"}
    models = [model for model in wanted.values() if not _is_marked(options.models, model)]
    if options.wait_s is not None:
        _wait(options.models, models, options.wait_s)
        return 0
    # images are offline by their variables, which the hub's client reads when it is imported
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.pop(name, None)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    token = _token(options.token_file)
    found = [(model, _fetch(options.models, model, token)) for model in models]
    for model, files in found:
        _mark(options.models, model, files)
    for model in wanted.values():
        _show(model, f"complete at {model.revision} in {options.models}")
    return 0


def marker(folder, model):
    """Return the path whose existence says that a model is whole in ``folder``, and whose content says what was compared."""
    return os.path.join(_repository_folder(folder, model), f".complete-{model.revision}")


def _is_marked(folder: str, model: Model) -> bool:
    """Return whether a model is whole in ``folder``. Raises ``InputError`` for a marker that does not say so of this model."""
    path = marker(folder, model)
    if not os.path.lexists(path):
        return False
    told = strictjson.read(path)
    if not isinstance(told, dict) or told.get("revision") != model.revision:
        raise InputError(
            f"{path} does not say that {model.repository} is whole. Remove it, and run the same command again."
        )
    return True


def _mark(folder, model, files):
    told = {"repository": model.repository, "revision": model.revision, "files": files}
    path = marker(folder, model)
    try:
        publish.publish(path, strictjson.pretty(told).encode())
    except PublishFailed:
        if not _is_marked(folder, model):  # a pod may be started twice: the other one has marked it
            raise


def _repository_folder(folder, model):
    return os.path.join(folder, "hub", "models--" + model.repository.replace("/", "--"))


def _wait(folder, models, seconds):
    """Return when every marker is there. Raises ``InputError`` when the time is over."""
    deadline = time.monotonic() + seconds
    for model in models:
        path = marker(folder, model)
        if not _is_marked(folder, model):
            _show(model, f"waiting at most {seconds:.0f} s for {path}; devices are held meanwhile")
        while not _is_marked(folder, model):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise InputError(
                    f"{model.repository} at {model.revision} is not whole in {folder} after {seconds:.0f} s."
                    " See the log of the Job that fetches it (kubectl logs job/prefetch-...), and start again when it is done."
                )
            time.sleep(min(POLL_S, left_s))


def _fetch(folder, model, token):
    """Fetch and compare one model's files; return what was compared."""
    files = _translated(model, lambda: _listing(model, token))
    _refuse_unpinned_pickles(model, files)
    _refuse_other_pins(model, files)
    try:
        _sweep(folder, model)
        _refuse_too_small(folder, model, files)
    except OSError as problem:
        raise PublishFailed(
            f"{problem.filename or folder} cannot be used: {reason(problem)}. Name another folder with --models."
        ) from None
    unpinned = "" if model.files else "; the lock has no sha256 of them, they are compared with what the hub says"
    _show(model, f"{len(files)} files, {sum(file.size for file in files) / 1e9:.2f} GB{unpinned}")
    for number, file in enumerate(files, start=1):
        _translated(model, lambda file=file: _fetch_file(folder, model, file, token))
        _show(model, f"{number}/{len(files)} {file.name} is whole")
    return [{"name": file.name, "bytes": file.size, "sha256": file.sha256, "git_blob": file.blob_id} for file in files]


def _listing(model, token):
    """Return the files that a run needs: the pinned weights, else safetensors where there are any, else pickles, and their beside.

    Names are plain names of the repository's own folder: what else the hub says never becomes a path.
    """
    from huggingface_hub import HfApi

    told = HfApi().model_info(model.repository, revision=model.revision, files_metadata=True, token=token)
    files = {file.name: file for file in map(_described, told.siblings)}
    pinned = [checkpoint.weight_files(model.files, form) for form in ("safetensors", "bin")]
    for form, pins in zip(("safetensors", "bin"), pinned):
        weights = pins if any(pinned) else checkpoint.weight_files(files, form)
        missing = [name for name in weights if name not in files]
        if missing:
            raise InputError(
                f"{model.repository} at {model.revision} has no {missing[0]} at the hub, which versions.lock pins. Pin the revision"
                " that was meant."
            )
        if weights:
            names = {*BESIDE, checkpoint.index_of(form), *weights}
            return sorted(file for name, file in files.items() if name in names)
    raise InputError(
        f"{model.repository} at {model.revision} has no weights that a run can read. Pin another revision."
    )


def _described(entry):
    """Return a ``_File``; the client's class of the entry, and of its large file, differs between releases."""
    large = entry.lfs
    sha256 = None if large is None else large["sha256"] if isinstance(large, dict) else large.sha256
    if entry.size is None or (sha256 is None and entry.blob_id is None):
        raise Unreachable(
            f"The hub does not say what {printable(entry.rfilename, 80)} must be: its size, or a hash, is missing. Try another"
            " mirror."
        )
    return _File(entry.rfilename, entry.size, sha256, None if large is not None else entry.blob_id)


def _refuse_unpinned_pickles(model, files):
    pickles = [file.name for file in files if file.name.endswith(".bin") and file.name not in model.files]
    if pickles:
        raise InputError(
            f"{model.repository} at {model.revision} has no safetensors, and {pickles[0]} is a pickle whose sha256 is not in"
            " versions.lock: a run would refuse it. Run `python -m runner lock --only hub`, and make the request again."
        )


def _refuse_other_pins(model, files):
    for file in files:
        if file.name in model.files and file.sha256 != model.files[file.name]:
            raise InputError(
                f"{file.name} of {model.repository} at {model.revision} is another file at the hub than versions.lock pins."
                " Pin the revision that was meant."
            )


def _refuse_too_small(folder, model, files):
    os.makedirs(folder, exist_ok=True)
    there = sum(os.path.getsize(path) for path in _blobs(folder, model))
    needed = sum(file.size for file in files) - there
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise DoesNotFit(
            f"{model.repository} needs {needed:,} bytes more in {folder}, where {free:,} are free. Make the volume larger."
        )


def _sweep(folder, model):
    """Remove what killed attempts left half: newer clients write under a name of each attempt's own, and never go on with it."""
    for path in _blobs(folder, model):
        if _HALF.search(path) and time.time() - os.path.getmtime(path) > HALF_IS_OLD_S:
            os.unlink(path)


def _blobs(folder, model):
    blobs = os.path.join(_repository_folder(folder, model), "blobs")
    return [os.path.join(blobs, name) for name in os.listdir(blobs)] if os.path.isdir(blobs) else []


def _fetch_file(folder, model, file, token):
    """Fetch one file and compare it; what is wrong is thrown away and fetched once more."""
    for _ in range(2):
        path = _download(folder, model, file, token)
        if _is(path, file):
            return
        _show(model, f"{file.name} is not what the hub says it is; fetching it again")
        os.unlink(os.path.realpath(path))
        os.unlink(path)
    raise InputError(
        f"{file.name} of {model.repository} came twice with other content than the hub says it has. Try another mirror."
    )


def _download(folder, model, file, token):
    from huggingface_hub import hf_hub_download

    # before 0.23 going on with what is there must be asked for, since 1.0 it cannot be
    resume = {"resume_download": True} if _must_ask_to_resume(hf_hub_download) else {}
    cache = os.path.join(folder, "hub")
    return hf_hub_download(model.repository, file.name, revision=model.revision, cache_dir=cache, token=token, **resume)


def _must_ask_to_resume(function):
    parameter = inspect.signature(function).parameters.get("resume_download")
    return parameter is not None and parameter.default is False


def _is(path, file):
    if os.path.getsize(path) != file.size:
        return False
    if file.sha256 is not None:
        return sha256_of_file(path) == file.sha256
    blob = read_bytes(path, file.size)
    return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest() == file.blob_id  # noqa: S324 - what git names it by


def _translated(model, work):
    """Return ``work()``; what the hub's client raises becomes an error that says what to do.

    Its classes differ between releases, so they are told apart by name: what is not there is not mended by trying again.
    """
    try:
        return work()
    except KitError:
        raise
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise PublishFailed(f"{problem.filename or 'The folder'} cannot be written: {problem.strerror}.") from None
        raise _of_hub(model, problem) from None
    except Exception as problem:
        raise _of_hub(model, problem) from None


def _of_hub(model, problem):
    kind, first = type(problem).__name__, printable(" ".join(str(problem).split()), 300)
    if kind in (
        "RepositoryNotFoundError",
        "RevisionNotFoundError",
        "EntryNotFoundError",
        "RemoteEntryNotFoundError",
        "GatedRepoError",
    ):
        return InputError(f"The hub has no {model.repository} at {model.revision} for this token: {first}")
    return Unreachable(
        f"{model.repository} could not be fetched ({kind}: {first}). What is there stays; run the same command again."
    )


def _token(path):
    """Return the token that a file holds, None without a file. Raises ``InputError``, without its content, for anything else."""
    if path is None or not os.path.lexists(path):
        return None
    content = read_bytes(path, TOKEN_BYTES, InputError, "Check --token-file.")
    token = content.decode("utf-8-sig", errors="replace").strip()
    if not all("!" <= character <= "~" for character in token):
        raise InputError(
            f"{path} holds no token: one line of letters, digits and marks is expected. Check --token-file."
        )
    remember(token)
    return token or None


def _show(model, text):
    print(f"[{model.name}] {printable(text)}", file=sys.stderr, flush=True)
