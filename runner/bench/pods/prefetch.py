"""The verb ``prefetch``: fetch the weights of requests into a folder and compare them, or wait for another pod.

All markers are written last, after every file of every model was compared. A launch that finds a marker then measures
while no file is being written.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Sequence

from runner.bench.pods import hub_client, model_cache
from runner.bench.pods.hub_client import HubFile, HubModel
from runner.contract import arguments as flag_types
from runner.contract import progress
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, PublishFailed
from runner.contract.files import read_bytes, reason
from runner.contract.progress import Step, Task
from runner.contract.request import read_request
from runner.contract.secrets import remember
from runner.contract.text import printable

_POLL_S = 5
# Tokens of the hub have fewer than a hundred characters.
_MAX_TOKEN_BYTES = 1 << 16


@dataclass(frozen=True)
class ModelComplete(Event, word="model"):
    """Every file of a model's weights was compared, and lies in the folder."""

    model: str = field(metadata=fact("name of the model"))
    repository: str = field(metadata=fact("name of the model's repository at the hub"))
    revision: str = field(metadata=fact("commit of the repository"))
    folder: str = field(metadata=fact("folder of the weights, as `--models` names it"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "prefetch",
        description="Fetch the real weights that the requests ask for, at their pinned revisions, and compare every file with the"
        " sha256 in the request, or with what the hub says of it where the request has none. Whole files of an attempt before"
        " stay.",
    )
    flags.add_argument("requests", nargs="+", metavar="REQUEST", help="a file that `python -m runner request` wrote")
    flags.add_argument("--models", required=True, metavar="FOLDER", help="where weights go")
    flags.add_argument("--token-file", metavar="FILE", help="a file with a token of the hub; none if it is not there")
    flags.add_argument(
        "--wait-s",
        type=flag_types.seconds,
        metavar="SECONDS",
        help="fetch nothing; wait until another has, at most so long",
    )
    add_json(flags, "each model that is whole")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Fetch, or wait for, the models of all requests and return 0.

    The hub is asked only for models that are not whole.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    requests = [read_request(path) for path in options.requests]
    models = {
        request.model.revision: HubModel.of(request.model) for request in requests if request.weights.kind == "hub"
    }
    missing = [model for model in models.values() if not model_cache.is_marked(options.models, model)]
    if options.wait_s is not None:
        _wait(options.models, missing, options.wait_s)
    else:
        _fetch_all(options.models, missing, options.token_file)
    for model in models.values():
        if options.wait_s is None:
            _show(model.name, f"complete at {model.revision} in {options.models}")
        announcer.announce(ModelComplete(model.name, model.repository, model.revision, options.models))
    return 0


def _fetch_all(folder: str, models: Sequence[HubModel], token_file: str | None) -> None:
    """Fetch and compare the files of models, and mark the models once all are whole. Raises as ``_fetch`` does."""
    # Images are offline by these variables, which the hub's client reads when it is imported.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.pop(name, None)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # The kit draws its own bars: the client's move the cursor, which standard error lets nobody do.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    token = _token(token_file)
    fetched = [(model, _fetch(folder, model, token, _task(model))) for model in models]
    for model, files in fetched:
        model_cache.mark(folder, model, files)


def _wait(folder: str, models: Sequence[HubModel], timeout_s: float) -> None:
    """Wait until every model is marked. Raises ``InputError`` when ``timeout_s`` seconds are over."""
    deadline = time.monotonic() + timeout_s
    for model in models:
        task = _task(model)
        if not model_cache.is_marked(folder, model):
            path = model_cache.marker(folder, model)
            task.line(f"waiting at most {timeout_s:.0f} s for {path}; devices are held meanwhile")
            task.update(Step("waiting for the weights"))
        while not model_cache.is_marked(folder, model):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise InputError(
                    f"{model.repository} at {model.revision} is not whole in {folder} after {timeout_s:.0f} s."
                    " See the log of the Job that fetches it (kubectl logs job/prefetch-...), and start again when it is done."
                )
            time.sleep(min(_POLL_S, left_s))
        task.end()


def _fetch(folder: str, model: HubModel, token: str | None, task: Task) -> list[HubFile]:
    """Fetch and compare one model's files, and return them. ``task`` shows progress.

    Raises ``InputError`` for files that a run would refuse, ``DoesNotFit`` and ``PublishFailed`` for a folder that does
    not take them, ``Unreachable`` where the hub fails.
    """
    files = hub_client.list_files(model, token)
    _refuse_unpinned_pickles(model, files)
    _refuse_other_pins(model, files)
    try:
        model_cache.remove_abandoned(folder, model)
        model_cache.refuse_too_small(folder, model, files)
    except OSError as problem:
        raise PublishFailed(
            f"{problem.filename or folder} cannot be used: {reason(problem)}. Name another folder with --models."
        ) from None
    unpinned = "" if model.files else "; the lock has no sha256 of them, they are compared with what the hub says"
    total_bytes = sum(file.size_bytes for file in files)
    task.line(f"{len(files)} files, {total_bytes / 1e9:.2f} GB{unpinned}")
    whole_bytes = 0
    for number, file in enumerate(files, start=1):
        done = functools.partial(_done_bytes, folder, model, whole_bytes, file)
        task.update(Step("fetching weights", done, total_bytes, "bytes"))
        hub_client.fetch(model_cache.hub_folder(folder), model, file, token, task.line)
        task.line(f"{number}/{len(files)} {file.name} is whole")
        whole_bytes += file.size_bytes
    task.end()
    return files


def _done_bytes(folder: str, model: HubModel, whole_bytes: int, file: HubFile) -> int:
    """Return how many bytes of a model are here: ``whole_bytes`` of whole files, and what has come of ``file``."""
    return whole_bytes + model_cache.present_bytes(folder, model, file)


def _refuse_unpinned_pickles(model: HubModel, files: Sequence[HubFile]) -> None:
    """Raise ``InputError`` for a pickle without a pinned sha256: loading a pickle can run code."""
    pickles = [file.name for file in files if file.name.endswith(".bin") and file.name not in model.files]
    if pickles:
        raise InputError(
            f"{model.repository} at {model.revision} has no safetensors, and {pickles[0]} is a pickle whose sha256 is not in"
            " versions.lock: a run would refuse it. Run `python -m runner lock --only hub`, and make the request again."
        )


def _refuse_other_pins(model: HubModel, files: Sequence[HubFile]) -> None:
    """Raise ``InputError`` for a file whose sha256 at the hub is not the pinned one."""
    for file in files:
        if file.name in model.files and file.sha256 != model.files[file.name]:
            raise InputError(
                f"{file.name} of {model.repository} at {model.revision} is another file at the hub than versions.lock pins."
                " Pin the revision that was meant."
            )


def _token(path: str | None) -> str | None:
    """Return the token that a file holds; None without a file, and for an empty one.

    Raises ``InputError``, without the file's content, for anything else.
    """
    if path is None or not os.path.lexists(path):
        return None
    content = read_bytes(path, _MAX_TOKEN_BYTES, InputError, "Check --token-file.")
    token = content.decode("utf-8-sig", errors="replace").strip()
    if not all("!" <= character <= "~" for character in token):
        raise InputError(
            f"{path} holds no token: one line of letters, digits and marks is expected. Check --token-file."
        )
    remember(token)
    return token or None


def _task(model: HubModel) -> Task:
    return progress.begin(model.name, functools.partial(_show, model.name))


def _show(name: str, text: str) -> None:
    """Print one line of progress on standard error."""
    print(f"[{name}] {printable(text)}", file=sys.stderr, flush=True)
