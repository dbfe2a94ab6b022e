"""The parent's side of an attempt, with a launcher that writes prepared raw data instead of starting ranks."""

import json
import os
import sys
from pathlib import Path

import pytest

from runner.bench import environment, inventory, launcher, session
from runner.contract import result as results
from runner.contract import strictjson
from runner.contract.errors import DoesNotFit, InputError, Interrupted, LaunchFailed, PublishFailed, Unsupported
from runner.contract.files import sha256_of_file
from runner.contract.request import Dataset
from tests import samples

WRITE = "import shutil, sys; print('@bench measuring', flush=True); shutil.copy(sys.argv[1], sys.argv[2] + '/raw.json')"
REFUSE = "import sys; open(sys.argv[2] + '/error-0.json', 'w').write(open(sys.argv[1]).read()); sys.exit(3)"
DIE = "import sys; print('noise'); print('ValueError: \\x1b[31mno such weights'); sys.exit(9)"
NOTHING = "print('nothing')"
APPEND = 'import sys; open(sys.argv[3], \'w\').write(\'{"row": 0}\\n{"row": 1}\\n{"ro\')'


@pytest.fixture
def play(monkeypatch, tmp_path):
    """Return a function that lets a request run with one prepared script for each launch."""
    monkeypatch.setattr(launcher, "check", lambda name, several_hosts: None)
    monkeypatch.setattr(inventory, "describe", lambda stack: samples.inventory())
    monkeypatch.setattr(environment, "RECORDED", ("OMP_PROC_BIND",))

    def run(asked, *scripts, value=None, show=lambda text: None, dataset_file=None):
        prepared = tmp_path / "prepared.json"
        prepared.write_text(json.dumps(samples.raw(asked) if value is None else value))
        left = list(scripts)

        def command(name, devices, arguments, hostfile):
            options = dict(zip(arguments[::2], arguments[1::2]))
            return [sys.executable, "-c", left.pop(0), str(prepared), options["--out"], options.get("--outputs", "")]

        monkeypatch.setattr(launcher, "command", command)
        paths = []
        session.run(asked, session.Places(str(tmp_path / "results"), None, dataset_file), show, paths.append)
        return paths[0]

    return run


def read(path):
    result = strictjson.read(path)
    results.check_seal(result, path)
    return result


def the_only_result(tmp_path):
    (path,) = (tmp_path / "results").glob("*/*.json")
    return read(str(path))


def test_a_complete_attempt_is_published_sealed_under_its_request(play, tmp_path):
    asked, shown = samples.request(launches=2), []
    path = play(asked, WRITE, WRITE, show=shown.append)
    result = read(path)
    assert path == str(tmp_path / "results" / asked.id / (result["attempt"]["id"] + ".json"))
    assert results.ATTEMPT.fullmatch(result["attempt"]["id"])
    assert result["attempt"]["status"] == "complete"
    assert [launch["status"] for launch in result["launches"]] == ["complete", "complete"]
    assert result["launches"][0]["estimate"] == {"estimator": "nominal", "latency_s": 0.25}
    assert result["launches"][0]["timed"]["iterations_s"] == [0.25] * 5
    assert result["request"] == asked.to_json()
    assert result["environment"]["python"].startswith("3.")
    assert "launch 2/2: measuring" in shown


def test_no_path_of_the_scratch_folder_and_no_secret_stays_in_a_result(play, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    raw = samples.raw(samples.request())
    raw["ranks"][0]["variables"] = {"OMP_PROC_BIND": "close"}
    text = Path(play(samples.request(), WRITE, value=raw)).read_text()
    assert "bloomz-bench-" not in text
    assert "hf_canary" not in text
    assert '"OMP_PROC_BIND": "close"' in text


def test_a_rank_s_own_error_becomes_the_parent_s(play, tmp_path):
    with pytest.raises(InputError, match=r"^weights are missing\.$"):
        play(samples.request(), REFUSE, value={"exit_code": 3, "message": "weights are missing."})
    assert not (tmp_path / "results").exists()
    with pytest.raises(LaunchFailed, match=r"shapes differ\. The failed attempt is kept in"):
        play(samples.request(), REFUSE, value={"exit_code": 6, "message": "shapes differ."})
    assert the_only_result(tmp_path)["launches"][0]["error"] == "shapes differ."


def test_an_error_of_a_rank_on_another_host_comes_in_the_output(play, tmp_path):
    told = """print('noise'); print('node-2: @bench-error {"exit_code": 3, "message": "weights are missing."}')"""
    with pytest.raises(InputError, match=r"^weights are missing\.$"):
        play(samples.request(), told)
    assert not (tmp_path / "results").exists()


def test_a_launcher_that_dies_is_told_with_its_last_words_made_harmless(play, tmp_path):
    with pytest.raises(
        LaunchFailed, match=r"ended with status 9. Its last words: ValueError: \\x1b\[31mno such weights"
    ):
        play(samples.request(), DIE)
    assert the_only_result(tmp_path)["launches"][0]["log"][0] == "noise"


def test_a_launch_that_says_nothing_is_no_measurement(play):
    with pytest.raises(LaunchFailed, match="ended with status 0"):
        play(samples.request(), NOTHING)


def test_a_launch_that_measured_something_else_is_refused(play, tmp_path):
    raw = samples.raw(samples.request())
    raw["conditions"]["precision"] = "bfloat16"
    with pytest.raises(LaunchFailed, match="precision wanted float32, found bfloat16"):
        play(samples.request(), WRITE, value=raw)
    assert the_only_result(tmp_path)["launches"][0]["status"] == "failed"


def test_a_variable_that_did_not_reach_the_ranks_is_refused(play, monkeypatch):
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    with pytest.raises(LaunchFailed, match="variables wanted .*close.*, found .*None"):
        play(samples.request(), WRITE)


def interrupt_at(word):
    def show(text):
        if word in text:
            raise KeyboardInterrupt

    return show


def test_an_interrupt_keeps_the_launches_that_are_complete(play, tmp_path):
    with pytest.raises(Interrupted, match="What was measured is kept: 1 of 2 launches"):
        play(samples.request(launches=2), WRITE, WRITE, show=interrupt_at("launch 2/2: starting"))
    result = the_only_result(tmp_path)
    assert result["attempt"]["status"] == "interrupted"
    assert len(result["launches"]) == 1


def test_an_interrupt_before_any_measurement_writes_nothing(play, tmp_path):
    with pytest.raises(Interrupted, match="nothing was written"):
        play(samples.request(), WRITE, show=interrupt_at("starting"))
    assert not (tmp_path / "results").exists()


@pytest.fixture
def dataset_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n')
    return path


def dataset_request(path):
    dataset = Dataset("file", path.name, None, None, None, "json", sha256_of_file(path), "text", None)
    return samples.request(case="cpu-dataset", workload=samples.workload(name="dataset", prompt=None, dataset=dataset))


def test_an_interrupted_dataset_keeps_its_whole_lines(play, tmp_path, dataset_file):
    script = APPEND + "; print('@bench completed', flush=True); import time; time.sleep(60)"
    with pytest.raises(Interrupted, match="2 rows in"):
        play(dataset_request(dataset_file), script, show=interrupt_at("completed"), dataset_file=str(dataset_file))
    result = the_only_result(tmp_path)
    (outputs,) = (tmp_path / "results").glob("*/*.jsonl")
    assert outputs.read_text() == '{"row": 0}\n{"row": 1}\n'
    assert result["outputs"] == {"file": outputs.name, "rows": 2, "sha256": sha256_of_file(outputs)}
    assert sorted(path.suffix for path in outputs.parent.iterdir()) == [".json", ".jsonl"]


def test_another_file_than_the_request_was_made_for_is_refused(play, dataset_file):
    asked = dataset_request(dataset_file)
    with pytest.raises(InputError, match="Say where it lies with --dataset-file"):
        play(asked)
    dataset_file.write_text('{"text": "b"}\n')
    with pytest.raises(InputError, match="its sha256 differs"):
        play(asked, dataset_file=str(dataset_file))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        play(asked, dataset_file=str(dataset_file) + ".none")


def test_a_model_that_does_not_fit_is_refused_before_anything_starts(play, monkeypatch, tmp_path):
    monkeypatch.setattr("runner.bench.hostfacts.available_memory_bytes", lambda: 1000)
    with pytest.raises(DoesNotFit, match="1,000 .* are free here"):
        play(samples.request())
    assert not (tmp_path / "results").exists()


def test_another_stack_than_the_pinned_one_is_refused_before_anything_starts(play, monkeypatch, tmp_path):
    drifted = samples.inventory(changed={"torch": ["2.13.0", "2.12.1+cpu"]})
    monkeypatch.setattr(inventory, "describe", lambda stack: drifted)
    with pytest.raises(Unsupported, match=r"torch 2\.13\.0 is 2\.12\.1\+cpu here. Run `make setup`"):
        play(samples.request())
    assert not (tmp_path / "results").exists()


def test_results_that_could_not_be_written_are_refused_before_anything_starts(play, tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(PublishFailed, match="is no folder that can be written to; nothing was measured"):
        play(samples.request())


def test_scratch_is_gone_after_every_ending(play, monkeypatch, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    play(samples.request(), WRITE)
    with pytest.raises(LaunchFailed):
        play(samples.request(), DIE)
    with pytest.raises(Interrupted):
        play(samples.request(), WRITE, show=interrupt_at("measuring"))
    assert os.listdir(scratch) == []
