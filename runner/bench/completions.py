"""Complete a column of a dataset: prompts cut to the asked tokens, one JSON line for each row, as each batch ends."""

import hashlib
import json
import os
import time

from runner.bench import model
from runner.contract import strictjson
from runner.contract.errors import InputError


def run(request, loaded, path, outputs, say):
    """Complete all rows; rank 0 appends them to ``outputs``. Returns counts, durations and a hash of all tokens.

    ``say`` shows progress, at most once a second. What an interrupted run has is in ``outputs``, whole lines up to its
    last batch.
    """
    workload = request.workload
    rows = _rows(workload.dataset, path)
    durations_s, digest, done, said_s = [], hashlib.sha256(), 0, 0.0
    with open(outputs or os.devnull, "a", encoding="utf-8") as file:
        for first in range(0, len(rows), workload.batch_size):
            batch = rows[first : first + workload.batch_size]
            start_ns = time.perf_counter_ns()
            prompts = model.encode(loaded, batch, workload.input_tokens)
            generated = model.generate(loaded, batch, workload, input_tokens=workload.input_tokens)
            durations_s.append((time.perf_counter_ns() - start_ns) / 1e9)
            for offset, line in enumerate(_lines(loaded, batch, prompts, generated)):
                digest.update(strictjson.canonical(line["output_ids"]))
                file.write(json.dumps({"row": first + offset, **line}, ensure_ascii=False) + "\n")
            file.flush()
            done += len(batch)
            if done == len(rows) or time.monotonic() - said_s >= 1.0:
                left_s = sum(durations_s) / done * (len(rows) - done)
                say(f"completed {done} of {len(rows)} rows, about {left_s:.0f} s left")
                said_s = time.monotonic()
    return {"rows": done, "rows_total": len(rows), "batches_s": durations_s, "tokens_sha256": digest.hexdigest()}


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
    table = _local(dataset, path) if dataset.source == "file" else _from_hub(dataset)
    if dataset.column not in table.column_names:
        raise InputError(
            f"{dataset.name} has no column {dataset.column!r}; it has {', '.join(table.column_names)}. Name one with --column."
        )
    texts = table[dataset.column][:] if dataset.rows is None else table[dataset.column][: dataset.rows]
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"{dataset.name}: row {row} of column {dataset.column!r} is {text!r}; only non-empty text can be completed."
            )
    if not texts:
        raise InputError(f"{dataset.name} holds no rows. Give a dataset with at least one.")
    return texts


def _local(dataset, path):
    import datasets

    try:
        return datasets.load_dataset(dataset.format, data_files=path, split="train")
    except Exception as problem:  # the builders raise a dozen classes for damaged files
        raise InputError(
            f"{path} cannot be read as {dataset.format}: {_root(problem)}. Check --dataset-file and its format."
        ) from None


def _from_hub(dataset):
    """Read a hub dataset at its pinned revision. From 4.0 on, ``datasets`` has no way to run a loading script."""
    import datasets

    if int(datasets.__version__.split(".")[0]) < 4:
        raise InputError(
            f"datasets {datasets.__version__} would run loading scripts of {dataset.name}, which this kit never does."
            " Export the column to JSON Lines and pass --dataset-file."
        )
    try:
        return datasets.load_dataset(
            dataset.name, dataset.configuration, revision=dataset.revision, split=dataset.split
        )
    except Exception as problem:
        raise InputError(
            f"{dataset.name} at {dataset.revision} cannot be read: {_root(problem)}."
            " If it holds a loading script, export the column to JSON Lines and pass --dataset-file."
        ) from None


def _root(problem):
    """Return the first line of the innermost cause, without its final dot."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    lines = str(problem).splitlines()
    return (lines[0] if lines else type(problem).__name__).rstrip(".")
