"""The parent's side of an attempt, with a launcher that writes prepared raw data instead of starting ranks."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

from runner.__main__ import main
from runner.bench.facts import environment, inventory
from runner.bench.inputs import checkpoint, preflight
from runner.bench.parent import attempt, checks, launcher, scratch
from runner.bench.parent.attempt_record import Paths
from runner.bench.processes.hostfile import Hostfile
from runner.contract import frame, publish, strictjson, unfinished
from runner.contract import result as results
from runner.contract.errors import (
    DoesNotFit,
    InputError,
    Interrupted,
    LaunchFailed,
    OutputLost,
    PublishFailed,
    Unsupported,
)
from runner.contract.files import sha256_of_file
from runner.contract.progress import SILENT, PlainTask
from runner.contract.records import Result
from runner.contract.request import Dataset, Request
from runner.contract.secrets import mask_json
from tests.support import samples

# Runs a request with one script for each launch, and returns the path of its result.
Play = Callable[..., str]

WRITE = "import shutil, sys; print('@bench measuring', flush=True); shutil.copy(sys.argv[1], sys.argv[2] + '/raw.json')"
REFUSE = "import sys; open(sys.argv[2] + '/error-0.json', 'w').write(open(sys.argv[1]).read()); sys.exit(3)"
DIE = "import sys; print('noise'); print('ValueError: \\x1b[31mno such weights'); sys.exit(9)"
NOTHING = "print('nothing')"
APPEND = 'import sys; open(sys.argv[3], \'w\').write(\'{"row": 0}\\n{"row": 1}\\n{"ro\')'


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Play:
    """Return a function that lets a request run with one prepared script for each launch."""
    monkeypatch.setattr(launcher, "check_launcher", lambda name, several_hosts: None)
    monkeypatch.setattr(inventory, "describe", lambda stack: samples.inventory())
    monkeypatch.setattr(environment, "is_setting", lambda name: name == "OMP_PROC_BIND")

    def run(
        asked: Request,
        *scripts: str,
        value: object = None,
        show: Callable[[str], None] = lambda text: None,
        dataset_file: str | None = None,
        paths: list[str] | None = None,
        with_operators: bool = False,
    ) -> str:
        prepared = tmp_path / "prepared.json"
        prepared.write_text(json.dumps(samples.raw(asked) if value is None else value))
        left = list(scripts)

        def command(name: str, devices: int, arguments: list[str], hostfile: Hostfile | None, named: bool) -> list[str]:
            assert not named
            assert (arguments[-1] == "--operators") is with_operators
            options = dict(zip(arguments[::2], arguments[1::2]))
            return [sys.executable, "-c", left.pop(0), str(prepared), options["--out"], options.get("--outputs", "")]

        monkeypatch.setattr(launcher, "command", command)
        paths = [] if paths is None else paths
        where = Paths(str(tmp_path / "results"), None, dataset_file)
        attempt.run(asked, where, PlainTask(show), paths.append, with_operators)
        return paths[0]

    return run


def read(path: str) -> Result:
    result = strictjson.read(path)
    results.check_seal(result, path)
    return result


def the_only_result(tmp_path: Path) -> Result:
    (path,) = (tmp_path / "results").glob("*/*.json")
    return read(str(path))


def test_a_complete_attempt_is_published_sealed_under_its_request(play: Play, tmp_path: Path) -> None:
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


def test_ranks_count_operators_only_where_they_are_asked_to(play: Play) -> None:
    asked = samples.request()
    told = {"output_tokens": 4, "output_ids": [[0, 1, 2, 3]], "calls": {"aten::mm": 8}, "kernels": []}
    (launch,) = read(play(asked, WRITE, value={**samples.raw(asked), "operators": told}, with_operators=True))[
        "launches"
    ]
    assert launch["operators"] == told
    assert [check["passed"] for check in launch["checks"] if check["name"] == "operators"] == [True]
    (launch,) = read(play(asked, WRITE))["launches"]
    assert "operators" not in launch


def test_a_user_s_number_of_threads_that_is_replaced_is_told_once(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    shown = []
    play(samples.request(launches=2), WRITE, WRITE, show=shown.append)
    (line,) = [line for line in shown if "OMP_NUM_THREADS" in line]
    assert line.startswith("launch 1/2: OMP_NUM_THREADS was 4096, this launch sets ")


def test_gpus_that_a_user_hides_from_the_cpu_s_ranks_are_no_setting(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DeepSpeed writes the numbers of the ranks into the variable, whatever the user's value was."""
    monkeypatch.setattr(environment, "is_setting", lambda name: name in ("CUDA_VISIBLE_DEVICES", "OMP_PROC_BIND"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    asked = samples.request()
    raw = samples.raw(asked)
    for rank in raw["ranks"]:
        rank["variables"] = {"CUDA_VISIBLE_DEVICES": "0", "OMP_PROC_BIND": "close"}
    assert read(play(asked, WRITE, value=raw))["launches"][0]["variables"] == {"OMP_PROC_BIND": "close"}


def test_a_folder_for_temporary_files_without_room_is_said_before_anything_is_measured(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextlib.contextmanager
    def full() -> Iterator[str]:
        (tmp_path / "room").symlink_to("/dev/full")
        yield str(tmp_path)

    monkeypatch.setattr(scratch, "folder", full)
    with pytest.raises(PublishFailed, match=f"{tmp_path.parent} does not take it: No space left.* Set TMPDIR"):
        play(samples.request())
    assert not (tmp_path / "results").exists()


def test_no_path_of_the_scratch_folder_and_no_secret_stays_in_a_result(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    raw = samples.raw(samples.request())
    raw["ranks"][0]["variables"] = {"OMP_PROC_BIND": "close"}
    text = Path(play(samples.request(), WRITE, value=raw)).read_text()
    assert "bloomz-bench-" not in text
    assert "hf_canary" not in text
    assert '"OMP_PROC_BIND": "close"' in text


def test_a_rank_s_own_error_becomes_the_parent_s(play: Play, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^weights are missing\.$"):
        play(samples.request(), REFUSE, value={"exit_code": 3, "message": "weights are missing."})
    assert not (tmp_path / "results").exists()
    with pytest.raises(LaunchFailed, match=r"shapes differ\. The failed attempt is kept in"):
        play(samples.request(), REFUSE, value={"exit_code": 6, "message": "shapes differ."})
    assert the_only_result(tmp_path)["launches"][0]["error"] == "shapes differ."


def test_an_error_of_a_rank_on_another_host_comes_in_the_output(play: Play, tmp_path: Path) -> None:
    script = """print('noise'); print('node-2: @bench-error {"exit_code": 3, "message": "weights are missing."}')"""
    with pytest.raises(InputError, match=r"^weights are missing\.$"):
        play(samples.request(), script)
    assert not (tmp_path / "results").exists()


def test_a_launcher_that_dies_is_told_with_its_last_words_made_harmless(play: Play, tmp_path: Path) -> None:
    with pytest.raises(
        LaunchFailed, match=r"ended with status 9. Its last words: ValueError: \\x1b\[31mno such weights"
    ):
        play(samples.request(), DIE)
    assert the_only_result(tmp_path)["launches"][0]["log"][0] == "noise"


def test_a_launch_that_says_nothing_is_no_measurement(play: Play) -> None:
    with pytest.raises(LaunchFailed, match="ended with status 0"):
        play(samples.request(), NOTHING)


def test_a_launch_that_measured_something_else_is_refused(play: Play, tmp_path: Path) -> None:
    raw = samples.raw(samples.request())
    raw["conditions"]["precision"] = "bfloat16"
    with pytest.raises(LaunchFailed, match="precision wanted float32, found bfloat16"):
        play(samples.request(), WRITE, value=raw)
    assert the_only_result(tmp_path)["launches"][0]["status"] == "failed"


def test_a_variable_that_did_not_reach_the_ranks_is_refused(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    with pytest.raises(LaunchFailed, match="variables wanted .*close.*, found .*None"):
        play(samples.request(), WRITE)


def interrupt_at(word: str) -> Callable[[str], None]:
    def show(text: str) -> None:
        if word in text:
            raise KeyboardInterrupt

    return show


def test_an_interrupt_keeps_the_launches_that_are_complete(play: Play, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="What was measured is kept: 1 of 2 launches"):
        play(samples.request(launches=2), WRITE, WRITE, show=interrupt_at("launch 2/2: starting"))
    result = the_only_result(tmp_path)
    assert result["attempt"]["status"] == "interrupted"
    assert len(result["launches"]) == 1


def test_an_interrupt_before_any_measurement_writes_nothing(play: Play, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="nothing was written"):
        play(samples.request(), WRITE, show=interrupt_at("starting"))
    assert not (tmp_path / "results").exists()


@pytest.fixture
def dataset_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n')
    return path


def dataset_request(path: Path) -> Request:
    dataset = Dataset("file", path.name, None, None, None, "json", sha256_of_file(path), "text", None)
    return samples.request(case="cpu-dataset", workload=samples.workload(name="dataset", prompt=None, dataset=dataset))


def test_an_interrupted_dataset_keeps_its_whole_lines(play: Play, tmp_path: Path, dataset_file: Path) -> None:
    script = APPEND + "; print('@bench completed', flush=True); import time; time.sleep(60)"
    with pytest.raises(Interrupted, match="2 rows in"):
        play(dataset_request(dataset_file), script, show=interrupt_at("completed"), dataset_file=str(dataset_file))
    result = the_only_result(tmp_path)
    (outputs,) = (tmp_path / "results").glob("*/*.jsonl")
    assert outputs.read_text() == '{"row": 0}\n{"row": 1}\n'
    assert result["outputs"] == {"file": outputs.name, "rows": 2, "sha256": sha256_of_file(outputs)}
    assert sorted(path.suffix for path in outputs.parent.iterdir()) == [".json", ".jsonl"]


def test_another_file_than_the_request_was_made_for_is_refused(play: Play, dataset_file: Path) -> None:
    asked = dataset_request(dataset_file)
    with pytest.raises(InputError, match="Say where it lies with --dataset-file"):
        play(asked)
    dataset_file.write_text('{"text": "b"}\n')
    with pytest.raises(InputError, match="its sha256 differs"):
        play(asked, dataset_file=str(dataset_file))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        play(asked, dataset_file=str(dataset_file) + ".none")


def test_a_model_that_does_not_fit_is_refused_before_anything_starts(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("runner.bench.facts.host.available_memory_bytes", lambda: 1000)
    with pytest.raises(DoesNotFit, match="1,000 .* are free here"):
        play(samples.request())
    assert not (tmp_path / "results").exists()


def test_another_stack_than_the_pinned_one_is_refused_before_anything_starts(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drifted = samples.inventory(changed={"torch": ["2.13.0", "2.12.1+cpu"]})
    monkeypatch.setattr(inventory, "describe", lambda stack: drifted)
    with pytest.raises(Unsupported, match=r"torch 2\.13\.0 is 2\.12\.1\+cpu here. Run `make setup`"):
        play(samples.request())
    assert not (tmp_path / "results").exists()


def test_weights_that_change_while_they_are_measured_fail_the_launch(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"bytes")
    found = preflight.Found(samples.inventory(), checkpoint.verified([str(path)]))
    monkeypatch.setattr(preflight, "check_host", lambda *arguments: found)
    assert play(samples.request(), WRITE)
    path.write_bytes(b"others")
    with pytest.raises(LaunchFailed, match="model.safetensors was changed or replaced after it was compared"):
        play(samples.request(), WRITE)


def test_results_that_could_not_be_written_are_refused_before_anything_starts(play: Play, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(PublishFailed, match="is no folder that can be written to; nothing was measured"):
        play(samples.request())


def test_scratch_is_gone_after_every_ending(play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    play(samples.request(), WRITE)
    with pytest.raises(LaunchFailed):
        play(samples.request(), DIE)
    with pytest.raises(Interrupted):
        play(samples.request(), WRITE, show=interrupt_at("measuring"))
    assert os.listdir(scratch) == []


def refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: str, target: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


def test_a_folder_without_links_is_said_in_the_result(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "published" not in read(play(samples.request(), WRITE))["attempt"]
    refuse_links(monkeypatch)
    path = Path(play(samples.request(), WRITE))
    assert read(str(path))["attempt"]["published"] == {"by": "rename", "file_synced": True, "folder_synced": True}
    assert {path.suffix for path in path.parent.iterdir()} == {".json"}


@pytest.mark.parametrize("call", ["fsync", "link", "makedirs"])
def test_a_folder_that_takes_no_file_is_refused_before_anything_starts(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str
) -> None:
    """Whatever ``os.access`` says of it; there is no script to play."""

    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(PublishFailed, match="can be written to; nothing was measured: Read-only file system"):
        play(samples.request())
    assert not (tmp_path / "results").exists()


def test_without_a_place_for_temporary_files_nothing_is_measured(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(PublishFailed, match="needs a folder for temporary files, and none can be made: No such file"):
        play(samples.request())


def break_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return what lets every file below the results fail to be published from now on."""
    whole = publish._publish

    def full(path: str, content: bytes) -> publish.Manner:
        if str(path).startswith(str(tmp_path / "results")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(path, content)

    return lambda text: monkeypatch.setattr(publish, "_publish", full) if "measuring" in text else None


def test_a_measurement_that_its_folder_does_not_take_is_kept_where_the_message_says(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    paths = []
    with pytest.raises(
        PublishFailed, match="No space left on device.* The measurement has ended and is kept: see "
    ) as caught:
        play(samples.request(), WRITE, show=break_the_folder(monkeypatch, tmp_path), paths=paths)
    (kept,) = (tmp_path / "scratch").glob("*/*.json")
    assert (read(str(kept))["attempt"]["status"], paths) == ("complete", [str(kept)])
    assert str(kept) in str(caught.value)
    # and beside the folder of the results, for the next run
    (left,) = unfinished.left(str(tmp_path / "results"))
    assert left.launches == 1


def test_a_measurement_that_no_folder_takes_goes_to_standard_output(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_folder(**keywords: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    broken = break_the_folder(monkeypatch, tmp_path)

    def show(text: str) -> None:
        broken(text)
        if "measuring" in text:
            monkeypatch.setattr("tempfile.mkdtemp", no_folder)

    with pytest.raises(PublishFailed, match="its frames are on standard output, for `python -m runner collect`"):
        play(samples.request(), WRITE, show=show)
    whole, problems = frame.read(capsys.readouterr().out.splitlines(), "here")
    (content,) = whole.values()
    assert (json.loads(content)["attempt"]["status"], problems) == ("complete", {})


def test_a_kill_in_a_launch_loses_that_launch_alone(play: Play, tmp_path: Path) -> None:
    def show(text: str) -> None:
        if "launch 3/3: starting" in text:
            os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        try:
            play(samples.request(launches=3), WRITE, WRITE, WRITE, show=show)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    (taken,) = unfinished.take_up(str(tmp_path / "results"))
    result = the_only_result(tmp_path)
    assert (result["attempt"]["status"], len(result["launches"]), taken.launches) == ("interrupted", 2, 2)
    assert result["launches"][1]["estimate"] == {"estimator": "nominal", "latency_s": 0.25}


def test_a_launch_that_ended_is_kept_when_the_next_is_refused(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = "import sys; open(sys.argv[2] + '/error-0.json', 'w').write('{\"exit_code\": 3, \"message\": \"gone.\"}')"
    with pytest.raises(InputError, match=r"^gone\. The failed attempt is kept in "):
        play(samples.request(launches=2), WRITE, refuse)
    assert [launch["status"] for launch in the_only_result(tmp_path)["launches"]] == ["complete", "failed"]


def test_a_defect_of_the_kit_loses_no_launch(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "run", lambda *arguments: [].pop())
    with pytest.raises(IndexError):
        play(samples.request(), WRITE)
    (launch,) = the_only_result(tmp_path)["launches"]
    assert (launch["status"], launch["error"]) == ("failed", "pop from empty list")
    assert launch["timed"]["span_s"] == 1.25


def test_a_second_interrupt_does_not_keep_the_first_from_being_kept(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = publish.publish

    def interrupted(path: str, content: bytes) -> publish.Manner:
        os.kill(os.getpid(), signal.SIGINT)
        return whole(path, content)

    monkeypatch.setattr(publish, "publish", interrupted)
    with pytest.raises(Interrupted, match="1 of 2 launches"):
        play(samples.request(launches=2), WRITE, WRITE, show=interrupt_at("launch 2/2: starting"))
    assert the_only_result(tmp_path)["attempt"]["status"] == "interrupted"


def test_an_interrupt_while_a_whole_result_is_published_waits_for_it(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = publish.publish

    def interrupted(path: str, content: bytes) -> publish.Manner:
        os.kill(os.getpid(), signal.SIGINT)
        return whole(path, content)

    monkeypatch.setattr(publish, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        play(samples.request(), WRITE)
    assert the_only_result(tmp_path)["attempt"]["status"] == "complete"


ROWS = '{"row": 0}\n{"row": 1}\n'
COMPLETE = f"""
import json, os, shutil, sys
raw = json.load(open(sys.argv[1]))
with open(sys.argv[3], "a") as file:
    file.write({ROWS!r})
    file.flush()
    HAPPENS
    file.write({ROWS!r})
json.dump({{**raw, "dataset": {{"rows": 4}}}}, open(sys.argv[2] + "/raw.json", "w"))
"""
RESULTS = "os.path.dirname(os.path.dirname(sys.argv[3]))"


@pytest.mark.parametrize(
    "happens",
    [
        "pass",
        f"shutil.rmtree({RESULTS})",
        f"os.rename({RESULTS}, {RESULTS} + '.away')",
        "os.unlink(sys.argv[3]); open(sys.argv[3], 'w').write('another')",
    ],
)
def test_rows_are_whole_whatever_becomes_of_their_folder_meanwhile(
    play: Play, tmp_path: Path, dataset_file: Path, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    monkeypatch.setattr(checks, "run", lambda *arguments: [])
    play(dataset_request(dataset_file), COMPLETE.replace("HAPPENS", happens), dataset_file=str(dataset_file))
    result = the_only_result(tmp_path)
    (outputs,) = (tmp_path / "results").glob("*/*.jsonl")
    assert outputs.read_text() == ROWS * 2
    assert result["outputs"] == {"file": outputs.name, "rows": 4, "sha256": sha256_of_file(outputs)}


def test_rows_that_another_process_took_away_are_missed(play: Play, tmp_path: Path, dataset_file: Path) -> None:
    script = COMPLETE.replace("HAPPENS", "os.truncate(sys.argv[3], 0)")
    with pytest.raises(PublishFailed, match=r"completed 4 row\(s\), and .*\.part has 2: another process changed"):
        play(dataset_request(dataset_file), script, dataset_file=str(dataset_file))
    assert the_only_result(tmp_path)["outputs"]["rows"] == 2


def test_rows_stay_where_ranks_wrote_them_if_the_disk_has_no_room_for_a_copy(
    play: Play, tmp_path: Path, dataset_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = publish._publish

    def no_room(path: str, content: bytes) -> publish.Manner:
        if str(path).endswith(".jsonl"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(path, content)

    monkeypatch.setattr(publish, "_publish", no_room)
    monkeypatch.setattr(checks, "run", lambda *arguments: [])
    play(dataset_request(dataset_file), COMPLETE.replace("HAPPENS", "pass"), dataset_file=str(dataset_file))
    (outputs,) = (tmp_path / "results").glob("*/*.jsonl*")
    assert (outputs.suffix, outputs.read_text()) == (".jsonl", ROWS * 2)
    assert the_only_result(tmp_path)["outputs"]["sha256"] == sha256_of_file(outputs)


def test_no_planted_secret_reaches_a_result_or_an_error(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a name that says so, by its shape, in an address, and as the value of a variable of this process."""
    planted = ["plantedvalue1", "hf_" + "p" * 20, "plantedpass2", "plantedtoken3"]
    monkeypatch.setenv("NVIDIA_API_KEY", planted[3])
    monkeypatch.setattr(environment, "is_setting", lambda name: name == "NVIDIA_API_KEY")
    raw = samples.raw(samples.request())
    raw["ranks"][0]["variables"] = {"NVIDIA_API_KEY": planted[3]}
    play(samples.request(), WRITE, value=raw)
    script = (
        f"print('HF_TOKEN={planted[0]} https://u:{planted[2]}@h/x');"
        f" print('ValueError: {planted[1]} {planted[3]}'); raise SystemExit(9)"
    )
    with pytest.raises(LaunchFailed):
        play(samples.request(), script)
    texts = [path.read_text() for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert len(texts) == 2
    for text in texts:
        assert not [secret for secret in planted if secret in text]


def test_masking_changes_nothing_of_a_result_without_secrets() -> None:
    body = samples.body()
    assert mask_json(body["launches"]) == body["launches"]
    assert mask_json(body["environment"]) == body["environment"]


def test_a_rank_that_dies_without_a_word_comes_before_its_echo(play: Play) -> None:
    echo = {"exit_code": 6, "message": "rank 0 lost its peer.", "echo": True, "at": 1.0}
    with pytest.raises(LaunchFailed, match=r"^Rank 1 ended without a word\. Then: rank 0 lost its peer\. The failed"):
        play(samples.request(devices=2), REFUSE, value=echo)


def test_a_reader_of_the_paths_that_has_gone_ends_no_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, play: Play
) -> None:
    """As `bench a b | true` has it: everything is measured, and the exit code says that the paths were lost."""
    play(samples.request(), WRITE)  # for what the fixture puts in the place of the launcher
    asked = [samples.request(case=case) for case in ("cpu-1", "cpu-2")]
    for request in asked:
        (tmp_path / f"{request.case}.json").write_text(json.dumps(request.to_json()))
    prepared = tmp_path / "prepared.json"
    monkeypatch.setattr(
        launcher,
        "command",
        lambda name, devices, arguments, hostfile, named: [
            *(sys.executable, "-c", WRITE, str(prepared), arguments[arguments.index("--out") + 1])
        ],
    )
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        paths = [str(tmp_path / f"{request.case}.json") for request in asked]
        status = main(["bench", *paths, "--results", str(tmp_path / "out"), "--frames"])
        monkeypatch.undo()
    assert status == OutputLost.exit_code
    assert len(list((tmp_path / "out").glob("*/*.json"))) == 2


def test_a_folder_of_weights_that_a_run_does_not_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "describe", lambda stack: samples.inventory())
    shown = []
    preflight.check_host(samples.request(), "/folder", None, PlainTask(shown.append))
    assert shown[-1].startswith("--model-dir /folder is not read: the request asks for dummy weights")
    preflight.check_host(samples.request(), None, None, PlainTask(shown.append))
    assert sum("is not read" in line for line in shown) == 1


@pytest.mark.torch  # the launcher is looked for first
def test_a_folder_that_takes_no_result_is_known_before_anything_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "check_host", lambda *arguments: pytest.fail("it compared the packages first"))
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishFailed, match="is no folder that can be written to"):
        attempt.run(samples.request(), Paths(str(tmp_path / "file"), None, None, None), SILENT, lambda path: None)
