"""Complete a column of a dataset: prompts cut to the asked tokens, one JSON line for each row, as each batch ends."""

import hashlib
import json
import os
import time

from runner.bench.inputs import column
from runner.bench.rank import model
from runner.contract import strictjson
from runner.contract.errors import InputError
from runner.contract.text import printable


def run(request, loaded, path, outputs, say):
    """Complete all rows; rank 0 appends them to ``outputs``. Returns counts, durations and a hash of all tokens.

    ``say`` shows progress, at most once a second. What an interrupted run has is in ``outputs``, whole lines up to its
    last batch.
    """
    workload = request.workload
    texts = _rows(workload.dataset, path)
    durations_s, digest, done, said_s = [], hashlib.sha256(), 0, 0.0
    with open(outputs or os.devnull, "a", encoding="utf-8") as file:
        for first in range(0, len(texts), workload.batch_size):
            batch = texts[first : first + workload.batch_size]
            start_ns = time.perf_counter_ns()
            prompts = model.encode(loaded, batch, workload.input_tokens)
            generated = model.generate(loaded, batch, workload, input_tokens=workload.input_tokens)
            durations_s.append((time.perf_counter_ns() - start_ns) / 1e9)
            for offset, line in enumerate(_lines(loaded, batch, prompts, generated)):
                digest.update(strictjson.canonical(line["output_ids"]))
                file.write(json.dumps({"row": first + offset, **line}, ensure_ascii=False) + "\n")
            file.flush()
            done += len(batch)
            if done == len(texts) or time.monotonic() - said_s >= 1.0:
                left_s = sum(durations_s) / done * (len(texts) - done)
                say(f"completed {done} of {len(texts)} rows, about {left_s:.0f} s left")
                said_s = time.monotonic()
    return {"rows": done, "rows_total": len(texts), "batches_s": durations_s, "tokens_sha256": digest.hexdigest()}


def _lines(loaded, batch, prompts, generated):
    """Yield one record for each row of a batch; padding on the left is no part of a prompt."""
    width = prompts["input_ids"].shape[1]
    for index, text in enumerate(batch):
        kept = prompts["attention_mask"][index].bool()
        prompt_ids = prompts["input_ids"][index][kept].tolist()
        output_ids = generated.ids[index, width:].tolist()
        yield {
            "input": text,
            "prompt": loaded.tokenizer.decode(prompt_ids),
            "prompt_tokens": len(prompt_ids),
            "output": loaded.tokenizer.decode(output_ids, skip_special_tokens=True),
            "output_ids": output_ids,
            "output_tokens": len(output_ids),
        }


def _rows(dataset, path):
    """Return the texts of the column. Raises ``InputError`` for a file, column or value that cannot be completed."""
    return column.read(path, dataset) if dataset.source == "file" else _from_hub(dataset)


def _from_hub(dataset):
    """Read a hub dataset at its pinned revision. From 4.0 on, ``datasets`` has no way to run a loading script."""
    import datasets

    if int(datasets.__version__.split(".")[0]) < 4:
        raise InputError(
            f"datasets {datasets.__version__} would run loading scripts of {dataset.name}, which this kit never does."
            " Export the column to JSON Lines and pass --dataset-file."
        )
    if os.path.lexists(dataset.name):  # ``datasets`` takes what lies here before it asks the hub
        raise InputError(
            f"{os.path.abspath(dataset.name)} would be read instead of the hub's {dataset.name}. Start from another folder,"
            " or pass --dataset-file."
        )
    place = {"path": dataset.name, "name": dataset.configuration, "revision": dataset.revision}
    try:
        builder = datasets.load_dataset_builder(**place)
        # pandas guesses what a column of CSV is from each 10,000 rows anew, and takes NA for nothing, unless it is told
        text = datasets.Features({dataset.column: datasets.Value("string")})
        plain = {"features": text, "usecols": [dataset.column], "na_filter": False}
        told = plain if hasattr(builder.config, "na_filter") else {}
        table = datasets.load_dataset(**place, split=dataset.split, **told)
    except Exception as problem:
        raise InputError(
            f"{dataset.name} at {dataset.revision} cannot be read: {_root(problem)}."
            " If it holds a loading script, export the column to JSON Lines and pass --dataset-file."
        ) from None
    if dataset.column not in table.column_names:
        raise column.no_column(dataset.name, dataset.column, table.column_names)
    cells = table[dataset.column]
    return column.texts(dataset.name, dataset.column, cells[:] if dataset.rows is None else cells[: dataset.rows])


def _root(problem):
    """Return the first line of the innermost cause, without its final dot; an error without words by its class."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    words = (str(problem).splitlines() or [""])[0].rstrip(".")
    kind = type(problem).__name__
    return printable(words if " " in words else f"the library `datasets` ended with {kind} {words}".rstrip(), 300)
