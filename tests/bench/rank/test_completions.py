"""Dataset mode: what is read, what is refused, what is written; with a model of the true architecture in this process."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.bench.engines import plain as engine
from runner.bench.inputs import tokenizer, weights
from runner.bench.rank import completions, model
from runner.contract.errors import InputError
from runner.contract.files import sha256_of_file
from runner.contract.progress import PlainTask
from runner.contract.request import Dataset
from tests.support import hub, samples
from tests.support.patience import HANG_S
from tests.support.plain_transformers import plain_model

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

TEXTS = [
    "A long enough text that is cut to sixteen tokens",
    "a machine",
    "DeepSpeed is a machine learning framework",
    "x",
]
ROOT = str(Path(__file__).resolve().parents[3])
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def loaded():
    source = weights.DummyWeights(29, 0.3)
    cpu = torch.device("cpu")
    return model.Loaded(plain_model(), tokenizer.kit(), cpu, source, engine, "transformers", {}, 0.0)


def write(folder, form, texts=TEXTS):
    path = folder / f"rows.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in texts))
    elif form == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["text", "n"], *([text, 1] for text in texts)])
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"text": texts, "n": [1] * len(texts)}), path)
    return path


def asked(path, column="text", rows=None, batch_size=1, output_tokens=5):
    form = {"jsonl": "json", "csv": "csv", "parquet": "parquet"}[path.suffix[1:]]
    dataset = Dataset("file", path.name, None, None, None, form, sha256_of_file(path), column, rows)
    return samples.request(
        case="cpu-dataset",
        workload=samples.workload(
            name="dataset",
            prompt=None,
            dataset=dataset,
            batch_size=batch_size,
            input_tokens=16,
            output_tokens=output_tokens,
        ),
    )


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def complete(loaded, request, path, folder):
    outputs, said = folder / "outputs.jsonl", []
    raw = completions.run(request, loaded, str(path), str(outputs), PlainTask(said.append))
    return raw, [json.loads(line) for line in outputs.read_text().splitlines()], said


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_every_form_of_file_gives_the_same_rows(loaded, tmp_path, form):
    path = write(tmp_path, form)
    raw, lines, said = complete(loaded, asked(path), path, tmp_path)
    assert (raw["rows"], raw["rows_total"], len(raw["batches_s"])) == (4, 4, 4)
    assert [line["input"] for line in lines] == TEXTS
    assert [line["row"] for line in lines] == [0, 1, 2, 3]
    assert [line["prompt_tokens"] for line in lines] == [16, 2, 7, 1]
    assert all(line["output_tokens"] == 5 == len(line["output_ids"]) for line in lines)
    assert TEXTS[0].startswith(lines[0]["prompt"])
    assert said[-1].startswith("completed 4 of 4 rows")


def test_a_row_is_completed_as_plain_transformers_completes_it(loaded, tmp_path):
    path = write(tmp_path, "jsonl")
    _, lines, _ = complete(loaded, asked(path, output_tokens=20), path, tmp_path)
    ids = loaded.tokenizer(TEXTS[2], return_tensors="pt")
    expected = loaded.model.generate(**ids, max_new_tokens=20, do_sample=False)[0, 7:].tolist()
    assert lines[2]["output_ids"] == expected


def test_a_batch_gives_each_row_what_it_gets_alone(loaded, tmp_path):
    """Rows of a batch are padded on the left; in float32 padding must not change a token."""
    path = write(tmp_path, "jsonl")
    _, alone, _ = complete(loaded, asked(path, output_tokens=20), path, tmp_path)
    (tmp_path / "outputs.jsonl").unlink()
    raw, together, _ = complete(loaded, asked(path, batch_size=3, output_tokens=20), path, tmp_path)
    assert [line["output_ids"] for line in together] == [line["output_ids"] for line in alone]
    assert [line["prompt"] for line in together] == [line["prompt"] for line in alone]
    assert len(raw["batches_s"]) == 2


def test_only_the_asked_rows_are_completed(loaded, tmp_path):
    path = write(tmp_path, "jsonl")
    raw, lines, _ = complete(loaded, asked(path, rows=2), path, tmp_path)
    assert (raw["rows"], len(lines)) == (2, 2)


@pytest.mark.parametrize(
    "texts, column, problem",
    [
        (TEXTS, "content", r"has no column 'content'; it has text, n. Name one with --column"),
        (TEXTS, "n", r"row 0 of column 'n' is 1; only non-empty text can be completed"),
        (["a", "  "], "text", r"row 1 of column 'text' is '  '"),
        ([], "text", r"cannot be read as json|holds no rows"),
    ],
)
def test_what_cannot_be_completed_is_named(loaded, tmp_path, texts, column, problem):
    path = write(tmp_path, "jsonl", texts)
    with pytest.raises(InputError, match=problem):
        complete(loaded, asked(path, column=column), path, tmp_path)


@pytest.mark.parametrize("form, content", [("jsonl", b"{"), ("parquet", b"PAR1no"), ("csv", b'a,b\n"unclosed')])
def test_a_damaged_file_is_one_sentence(loaded, tmp_path, form, content):
    path = tmp_path / f"rows.{form}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as|has no column") as caught:
        complete(loaded, asked(path), path, tmp_path)
    assert "\n" not in str(caught.value)


FETCH = """
import json, sys
from runner.bench.rank import completions
from runner.contract.errors import KitError
from runner.contract.request import Dataset
try:
    print(json.dumps(completions._rows(Dataset("hub", "somebody/news", sys.argv[1], None, "test", None, None, "content", None), None)))
except KitError as error:
    print(error)
"""


def fetch(endpoint, home, revision=REVISION, folder=None):
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": ROOT,
    }
    for name in ("HF_HOME", "HF_HUB_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", FETCH, revision],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=HANG_S,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_hub_dataset_is_read_at_its_revision(tmp_path):
    files = {"test.jsonl": b'{"content": "first"}\n{"content": "second"}\n', "train.jsonl": b'{"content": "no"}\n'}
    with hub.serve({("dataset", "somebody/news"): (REVISION, files)}) as (endpoint, log):
        assert json.loads(fetch(endpoint, tmp_path)) == ["first", "second"]
    assert any(REVISION in path for path in log)
    assert not any("/main" in path for path in log)


def test_a_cell_of_a_hub_s_csv_is_its_text(tmp_path):
    cells = ["007", "NA", "1.10", "True", "None"]
    files = {"test.csv": b"content,n\n" + b"".join(f"{cell},1\n".encode() for cell in cells)}
    with hub.serve({("dataset", "somebody/news"): (REVISION, files)}) as (endpoint, _):
        assert json.loads(fetch(endpoint, tmp_path)) == cells


def test_a_folder_of_the_same_name_is_not_read_instead_of_the_hub(tmp_path):
    (tmp_path / "somebody" / "news").mkdir(parents=True)
    (tmp_path / "somebody" / "news" / "test.jsonl").write_text('{"content": "another"}\n')
    with hub.serve({("dataset", "somebody/news"): (REVISION, {"test.jsonl": b'{"content": "a"}\n'})}) as (endpoint, _):
        told = fetch(endpoint, tmp_path, folder=tmp_path)
    assert f"{tmp_path}/somebody/news would be read instead of the hub's somebody/news" in told


def test_a_revision_that_the_hub_has_not_is_refused(tmp_path):
    with hub.serve({("dataset", "somebody/news"): (REVISION, {"test.jsonl": b"{}\n"})}) as (endpoint, _):
        told = fetch(endpoint, tmp_path, "f" * 40)
    assert told.startswith(f"somebody/news at {'f' * 40} cannot be read")


def test_a_loading_script_is_never_run(tmp_path):
    canary = tmp_path / "canary"
    script = f"open({str(canary)!r}, 'w').close()\n".encode()
    with hub.serve({("dataset", "somebody/news"): (REVISION, {"news.py": script, "README.md": b""})}) as (endpoint, _):
        told = fetch(endpoint, tmp_path)
    assert "export the column to JSON Lines and pass --dataset-file" in told
    assert not canary.exists()
