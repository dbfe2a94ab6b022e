"""Complete a column of a dataset: prompts cut to the asked tokens, one JSON line for each row, as each batch ends."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any, Iterator, Sequence, TypedDict

from runner.bench.engines import Inputs, Loaded
from runner.bench.inputs import column
from runner.bench.rank import model
from runner.contract import strictjson
from runner.contract.errors import InputError
from runner.contract.progress import Step, Task
from runner.contract.records import DatasetPass
from runner.contract.request import Dataset, Request
from runner.contract.text import printable


class Completion(TypedDict):
    """A line of the outputs, less its number of the row."""

    input: str
    # The text of the prompt's ids, which are the input cut to the asked tokens.
    prompt: str
    prompt_tokens: int
    output: str
    output_ids: list[int]
    output_tokens: int


def run(request: Request, loaded: Loaded, path: str | None, outputs: str | None, task: Task) -> DatasetPass:
    """Complete all rows of the request's dataset; return counts, durations and a hash of all tokens.

    ``path`` is the dataset's local file, None for a dataset of the hub. Rank 0 appends the completions to the file ``outputs``;
    every other rank passes None. An interrupted run leaves whole lines up to its last batch. ``task`` shows progress, at most once a
    second. Raises ``InputError`` for a dataset that cannot be completed.
    """
    workload = request.workload
    # ``Workload.from_fields`` gives a workload without a prompt its dataset.
    assert workload.dataset is not None
    texts = _rows(workload.dataset, path)
    durations_s: list[float] = []
    digest, done, shown_at_s = hashlib.sha256(), 0, 0.0
    with open(outputs or os.devnull, "a", encoding="utf-8") as file:
        for first in range(0, len(texts), workload.batch_size):
            batch = texts[first : first + workload.batch_size]
            start_ns = time.perf_counter_ns()
            prompts = model.encode(loaded, batch, workload.input_tokens)
            generated = model.generate(loaded, batch, workload, input_tokens=workload.input_tokens)
            durations_s.append((time.perf_counter_ns() - start_ns) / 1e9)
            for offset, completion in enumerate(_completions(loaded, batch, prompts, generated)):
                digest.update(strictjson.canonical(completion["output_ids"]))
                file.write(json.dumps({"row": first + offset, **completion}, ensure_ascii=False) + "\n")
            file.flush()
            done += len(batch)
            if done == len(texts) or time.monotonic() - shown_at_s >= 1.0:
                left_s = sum(durations_s) / done * (len(texts) - done)
                sentence = f"completed {done} of {len(texts)} rows, about {left_s:.0f} s left"
                task.update(Step("completing", done, len(texts), "rows", sentence, quiet=True))
                shown_at_s = time.monotonic()
    return {"rows": done, "rows_total": len(texts), "batches_s": durations_s, "tokens_sha256": digest.hexdigest()}


def _completions(
    loaded: Loaded, batch: Sequence[str], prompts: Inputs, generated: model.Generated
) -> Iterator[Completion]:
    """Yield the completion of each row of a batch; padding on the left is no part of a prompt."""
    width = prompts["input_ids"].shape[1]
    for index, text in enumerate(batch):
        unpadded = prompts["attention_mask"][index].bool()
        prompt_ids = prompts["input_ids"][index][unpadded].tolist()
        output_ids = generated.ids[index, width:].tolist()
        yield {
            "input": text,
            "prompt": loaded.tokenizer.decode(prompt_ids),
            "prompt_tokens": len(prompt_ids),
            "output": loaded.tokenizer.decode(output_ids, skip_special_tokens=True),
            "output_ids": output_ids,
            "output_tokens": len(output_ids),
        }


def _rows(dataset: Dataset, path: str | None) -> list[str]:
    """Return the texts of the column. Raises ``InputError`` for a file, column or value that cannot be completed."""
    if dataset.source != "file":
        return _from_hub(dataset)
    # ``preflight.check_host`` refuses a request for a local file without the file's path.
    assert path is not None
    return column.read(path, dataset)


def _from_hub(dataset: Dataset) -> list[str]:
    """Return the texts of a hub dataset at its pinned revision. ``datasets`` cannot run a loading script since 4.0."""
    import datasets

    if int(datasets.__version__.split(".")[0]) < 4:
        raise InputError(
            f"datasets {datasets.__version__} would run loading scripts of {dataset.name}, which this kit never does."
            " Export the column to JSON Lines and pass --dataset-file."
        )
    # ``datasets`` takes a local file or folder of this name before it asks the hub.
    if os.path.lexists(dataset.name):
        raise InputError(
            f"{os.path.abspath(dataset.name)} would be read instead of the hub's {dataset.name}. Start from another folder,"
            " or pass --dataset-file."
        )
    origin = {"path": dataset.name, "name": dataset.configuration, "revision": dataset.revision}
    try:
        builder = datasets.load_dataset_builder(**origin)
        # Without these options pandas guesses the type of a CSV column anew for every 10,000 rows, and reads NA as no value.
        text = datasets.Features({dataset.column: datasets.Value("string")})
        as_text: dict[str, Any] = {"features": text, "usecols": [dataset.column], "na_filter": False}
        options = as_text if hasattr(builder.config, "na_filter") else {}
        table = datasets.load_dataset(**origin, split=dataset.split, **options)
    except Exception as problem:
        raise InputError(
            f"{dataset.name} at {dataset.revision} cannot be read: {_root(problem)}."
            " If it holds a loading script, export the column to JSON Lines and pass --dataset-file."
        ) from None
    if dataset.column not in table.column_names:
        raise column.no_column(dataset.name, dataset.column, table.column_names)
    cells = table[dataset.column]
    return column.texts(dataset.name, dataset.column, cells[:] if dataset.rows is None else cells[: dataset.rows])


def _root(problem: BaseException) -> str:
    """Return the first line of the innermost cause, without its final dot; for an error without words the name of its class."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    words = (str(problem).splitlines() or [""])[0].rstrip(".")
    kind = type(problem).__name__
    return printable(words if " " in words else f"the library `datasets` ended with {kind} {words}".rstrip(), 300)
