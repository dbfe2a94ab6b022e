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

from runner.bench.inputs import model_folder, preflight
from runner.bench.pods import hub_client, model_cache, models_here
from runner.bench.pods.hub_files import HubFile, HubModel
from runner.contract import arguments as flag_types
from runner.contract import hub_cache, path_lists, progress, signals
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, PublishFailed, UsageError
from runner.contract.files import read_bytes, reason
from runner.contract.progress import Step, Task
from runner.contract.request import Model, read_request
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
    folder: str = field(metadata=fact("folder of the weights, as `--models` names it; without it the hub cache"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "prefetch",
        description="Fetch the real weights that the requests ask for, at their pinned revisions, and compare every file with the"
        " sha256 in the request, or with what the hub says of it where the request has none. What an attempt before wrote stays,"
        " half a file too. The hub is asked only for what is not here: HF_ENDPOINT names a mirror, HF_TOKEN or `hf auth login` a"
        " token.",
    )
    flags.add_argument("requests", nargs="*", metavar="REQUEST", help="a file that `python -m runner request` wrote")
    path_lists.add_from(flags, path_lists.REQUESTS)
    place = flags.add_mutually_exclusive_group()
    place.add_argument(
        "--models",
        metavar="FOLDER",
        help="where weights go (default: the hub cache, where `bench` finds them; HF_HOME and HF_HUB_CACHE move it)",
    )
    place.add_argument(
        "--model-dir", metavar="FOLDER", help="fetch nothing; compare the one model in this folder, a copy of yours"
    )
    flags.add_argument("--token-file", metavar="FILE", help="a file with a token of the hub; none if it is not there")
    flags.add_argument(
        "--verify",
        action="store_true",
        help="compare the files of a model again that was whole before, as after a copy from another host; needs no network"
        " where all are right",
    )
    flags.add_argument(
        "--wait-s",
        type=flag_types.seconds,
        metavar="SECONDS",
        help="fetch nothing; wait until another has, at most so long",
    )
    add_json(flags, "each model that is whole")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Fetch, compare or wait for the models of all requests and return 0.

    The hub is asked only for models that are not whole. Raises ``UsageError``, and what the parts of the work raise.
    """
    # As the first process of a pod this one would not end by SIGTERM, and hold devices for the whole grace.
    with signals.as_interrupt():
        return _run(parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    announcer = Announcer(options.json)
    paths = path_lists.given(options.requests, options.listed_in, path_lists.REQUESTS)
    if not paths:
        raise UsageError("No REQUEST is named. Name one, or the file that lists them with --from.")
    requests = [read_request(path) for path in paths]
    models = {request.model.revision: request.model for request in requests if request.weights.kind == "hub"}
    folder = options.model_dir or options.models or (hub_cache.folder() if models else "")
    if options.model_dir is not None:
        _compare_folder(options.model_dir, list(models.values()))
    else:
        cache = folder if options.models is None else model_cache.below(options.models)
        if options.models is not None:
            # Images are offline by these variables, which the hub's client reads when it is imported. Into a person's own
            # cache nothing is fetched where the person has set one.
            for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
                os.environ.pop(name, None)
        if options.wait_s is not None:
            _wait(cache, [HubModel.of(model) for model in models.values()], options.wait_s)
        else:
            _make_whole(cache, list(models.values()), options.token_file, options.verify)
    for model in map(HubModel.of, models.values()):
        if options.wait_s is None:
            _show(model.name, f"complete at {model.revision} in {folder}")
        announcer.announce(ModelComplete(model.name, model.repository, model.revision, folder))
    return 0


def _compare_folder(folder: str, models: Sequence[Model]) -> None:
    """Compare a copy of one model with the pins. Raises ``UsageError`` for several models, and ``InputError``."""
    if len(models) != 1:
        raise UsageError(
            f"--model-dir holds one model, and the requests ask for {len(models)} with weights of the hub."
        )
    task = _task(models[0].name)
    if not models[0].files:
        task.line(models_here.unpinned(models[0].name))
    preflight.check_model(models[0], model_folder.locate(models[0], folder), task)


def _make_whole(cache: str, models: Sequence[Model], token_file: str | None, verify: bool) -> None:
    """Fetch what is missing of models, and mark them once all are whole. Raises as ``_fetch_all`` does."""
    missing = []
    for model in models:
        task, of_hub = _task(model.name), HubModel.of(model)
        marked = model_cache.marked_files(cache, of_hub)
        if marked is not None:
            if not verify or models_here.still_whole(cache, of_hub, marked, task):
                continue
            # what is found damaged must not be measured while it is fetched again
            model_cache.unmark(cache, of_hub)
        else:
            found = models_here.whole_by_pins(cache, model, task)
            if found is not None:
                model_cache.mark(cache, of_hub, found)
                continue
        missing.append(of_hub)
    if missing:
        _fetch_all(cache, missing, token_file)


def _fetch_all(cache: str, models: Sequence[HubModel], token_file: str | None) -> None:
    """Fetch and compare the files of models, and mark the models once all are whole.

    Raises ``InputError`` for files that a run would refuse, ``DoesNotFit`` and ``PublishFailed`` for a folder that does
    not take them, ``Unreachable`` where the hub fails.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # The kit draws its own bars: the client's move the cursor, which standard error lets nobody do.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    token = _token(token_file)
    listed = [(model, _listed(model, token)) for model in models]
    _make_room(cache, listed)
    for model, files in listed:
        _fetch(cache, model, files, token, _task(model.name))
    for model, files in listed:
        model_cache.mark(cache, model, files)


def _listed(model: HubModel, token: str | None) -> list[HubFile]:
    """Return the files of a model at the hub. Raises ``InputError`` for files that a run would refuse, ``Unreachable``."""
    files = hub_client.list_files(model, token)
    _refuse_unpinned_pickles(model, files)
    _refuse_other_pins(model, files)
    return files


def _make_room(cache: str, listed: Sequence[tuple[HubModel, Sequence[HubFile]]]) -> None:
    """Make the cache, without what killed attempts left. Raises ``DoesNotFit`` and ``PublishFailed``."""
    try:
        for model, _ in listed:
            model_cache.remove_abandoned(cache, model)
        model_cache.refuse_too_small(cache, listed)
    except OSError as problem:
        raise PublishFailed(
            f"{problem.filename or cache} cannot be used: {reason(problem)}. Name another folder with --models."
        ) from None


def _wait(cache: str, models: Sequence[HubModel], timeout_s: float) -> None:
    """Wait until every model is marked. Raises ``InputError`` when ``timeout_s`` seconds are over."""
    deadline = time.monotonic() + timeout_s
    for model in models:
        task = _task(model.name)
        if not model_cache.is_marked(cache, model):
            path = model_cache.marker(cache, model)
            task.line(f"waiting at most {timeout_s:.0f} s for {path}; devices are held meanwhile")
            task.update(Step("waiting for the weights"))
        while not model_cache.is_marked(cache, model):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise InputError(
                    f"{model.repository} at {model.revision} is not whole in {cache} after {timeout_s:.0f} s."
                    " See the log of the Job that fetches it (kubectl logs job/prefetch-...), and start again when it is done."
                )
            time.sleep(min(_POLL_S, left_s))
        task.end()


def _fetch(cache: str, model: HubModel, files: Sequence[HubFile], token: str | None, task: Task) -> None:
    """Fetch and compare one model's files. ``task`` shows progress. Raises as ``hub_client.fetch`` does."""
    total_bytes = sum(file.size_bytes for file in files)
    task.line(f"{len(files)} files, {total_bytes / 1e9:.2f} GB")
    if not model.files:
        task.line(models_here.unpinned(model.name))
    for number, file in enumerate(files, start=1):
        hub_client.fetch(cache, model, file, token, task)
        task.line(f"{number}/{len(files)} {file.name} is whole")
    task.end()


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


def _task(name: str) -> Task:
    return progress.begin(name, functools.partial(_show, name))


def _show(name: str, text: str) -> None:
    """Print one line of progress on standard error."""
    print(f"[{name}] {printable(text)}", file=sys.stderr, flush=True)
