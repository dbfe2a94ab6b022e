from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from runner.bench.inputs import model_folder
from runner.bench.pods import hub_client, model_cache, prefetch
from runner.bench.pods.hub_files import HubFile, HubModel
from runner.contract import strictjson
from runner.contract.errors import InputError, Interrupted, PublishFailed, Unreachable, UsageError
from runner.contract.request import Model, Request, Weights
from runner.contract.secrets import mask
from tests.support import hub, samples
from tests.support.json_output import events
from tests.support.patience import HANG_S

ROOT = Path(__file__).parents[3]
REVISION = "7" * 40
NAME = "bigscience/bloomz"
SHARDS = {f"model_0000{number}-of-00002.safetensors": bytes([number]) * 3_000_000 for number in (1, 2)}
FILES = {
    **SHARDS,
    "config.json": b"{}",
    "tokenizer.json": b'{"model": {}}',
    "model.safetensors.index.json": b"{}",
    "README.md": b"not needed",
    "flax_model.msgpack": b"not needed",
    "onnx/decoder.safetensors": b"not needed",
    "pytorch_model_00001-of-00001.bin": b"not needed beside safetensors",
}
NEEDED = ["config.json", "model.safetensors.index.json", "tokenizer.json", *SHARDS]

downloads = pytest.mark.torch  # the hub's client comes with the stacks


def asked(
    tmp_path: Path, revision: str = REVISION, files: dict[str, str] | None = None, name: str = NAME
) -> tuple[Request, str]:
    request = samples.request(
        model=Model("bloomz", samples.TINY, name, revision, files or {}), weights=Weights("hub", None, None)
    )
    path = tmp_path / f"{request.id}.json"
    path.write_text(strictjson.pretty(request.to_json()))
    return request, str(path)


def run(endpoint: str, arguments: list[str], offline: str | None = "1") -> subprocess.CompletedProcess[str]:
    """Run the verb in a process of its own: the client reads its endpoint when it is imported."""
    environment = {
        **os.environ,
        **({} if offline is None else {"HF_HUB_OFFLINE": offline}),  # as an image has it
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "5",
    }
    command = [sys.executable, "-m", "runner", "prefetch", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, env=environment, timeout=HANG_S)


def files_got(log: list[str]) -> list[str]:
    return sorted({line.split()[0].rpartition("/")[2] for line in log if "/resolve/" in line})


@downloads
def test_weights_come_whole_compared_and_marked_last_and_only_once(tmp_path: Path) -> None:
    request, path = asked(tmp_path)
    models = tmp_path / "models"
    with hub.serve({("model", NAME): (REVISION, FILES)}) as (endpoint, log):
        done = run(endpoint, [path, "--models", str(models)])
        assert done.returncode == 0, done.stderr
        assert files_got(log) == sorted(NEEDED)
        assert "the lock has no sha256 of the files of bloomz: they are compared with what the hub says" in done.stderr
        del log[:]
        again = run(endpoint, [path, "--models", str(models)])
        assert (again.returncode, log) == (0, [])
    folder = models / "hub" / "models--bigscience--bloomz" / "snapshots" / REVISION
    assert {name: (folder / name).read_bytes() for name in NEEDED} == {name: FILES[name] for name in NEEDED}
    assert model_folder.locate(request.model, str(folder)) == str(folder)
    marker = json.loads(Path(model_cache.marker(str(models / "hub"), HubModel.of(request.model))).read_text())
    assert [entry["name"] for entry in marker["files"]] == sorted(NEEDED)
    assert {entry["sha256"] for entry in marker["files"]} - {None} == {
        hashlib.sha256(SHARDS[name]).hexdigest() for name in SHARDS
    }


@downloads
def test_a_download_that_is_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    """The client writes by 10 MiB: what was written of a larger file before the cut is not fetched again."""
    _, path = asked(tmp_path)
    files, cuts = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 100_000}, []

    def cut_once(where: str, content: bytes) -> bytes:
        if where.endswith(".safetensors") and not cuts:
            cuts.append(where)
            return content[:15_000_000]
        return content

    with hub.serve({("model", NAME): (REVISION, files)}, cut_once) as (endpoint, log):
        done = run(endpoint, [path, "--models", str(tmp_path / "models")])
        if done.returncode == Unreachable.exit_code:  # an older client leaves going on to the next attempt
            done = run(endpoint, [path, "--models", str(tmp_path / "models")])
    assert done.returncode == 0, done.stderr
    assert any(re.search(r"/model\.safetensors from [1-9][0-9]+", line) for line in log), log


@downloads
def test_a_later_attempt_goes_on_with_half_of_a_file(tmp_path: Path) -> None:
    _, path = asked(tmp_path)
    files, broken = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 100_000}, [True]

    def cut(where: str, content: bytes) -> bytes:
        return content[:15_000_000] if broken and where.endswith(".safetensors") else content

    with hub.serve({("model", NAME): (REVISION, files)}, cut) as (endpoint, log):
        first = run(endpoint, [path, "--models", str(tmp_path)])
        assert first.returncode == Unreachable.exit_code, first.stderr
        assert "What is there stays; run the same command again" in " ".join(first.stderr.split())
        (half,) = tmp_path.rglob(f"*{model_cache.PARTIAL}")
        present_bytes = half.stat().st_size
        assert 0 < present_bytes <= 15_000_000
        del log[:], broken[:]
        second = run(endpoint, [path, "--models", str(tmp_path)])
    assert second.returncode == 0, second.stderr
    assert "model.safetensors goes on at 0.01 of 0.03 GB" in second.stderr
    assert f"/{NAME}/resolve/{REVISION}/model.safetensors from {present_bytes}" in log
    assert not list(tmp_path.rglob(f"*{model_cache.PARTIAL}"))
    assert (
        b"".join(file.read_bytes() for file in tmp_path.rglob("snapshots/*/model.safetensors"))
        == files["model.safetensors"]
    )


@downloads
def test_half_of_a_file_that_is_larger_than_the_file_is_begun_anew(tmp_path: Path) -> None:
    request, path = asked(tmp_path)
    content = next(iter(SHARDS.values()))
    blob = model_cache.blob(str(tmp_path / "hub"), HubModel.of(request.model), hashlib.sha256(content).hexdigest())
    os.makedirs(os.path.dirname(blob))
    Path(blob + model_cache.PARTIAL).write_bytes(b"x" * (len(content) + 1))
    with hub.serve({("model", NAME): (REVISION, FILES)}) as (endpoint, _):
        done = run(endpoint, [path, "--models", str(tmp_path)])
    assert done.returncode == 0, done.stderr
    assert Path(blob).read_bytes() == content


@downloads
def test_what_was_whole_is_compared_again_and_only_what_was_damaged_is_fetched_again(tmp_path: Path) -> None:
    request, path = asked(tmp_path)
    arguments = [path, "--models", str(tmp_path), "--verify"]
    with hub.serve({("model", NAME): (REVISION, FILES)}) as (endpoint, log):
        assert run(endpoint, arguments).returncode == 0
        del log[:]
        again = run(endpoint, arguments)
        assert (again.returncode, log) == (0, []), again.stderr
        damaged = next(iter(tmp_path.rglob("snapshots/*/model_00002-of-00002.safetensors")))
        damaged.resolve().write_bytes(b"y" * 3_000_000)
        marker = Path(model_cache.marker(str(tmp_path / "hub"), HubModel.of(request.model)))
        away = run("http://127.0.0.1:9", arguments)
        assert away.returncode == Unreachable.exit_code, away.stderr
        assert "model_00002-of-00002.safetensors is not what it was when it was fetched" in away.stderr
        assert not marker.exists()
        mended = run(endpoint, arguments)
        assert mended.returncode == 0, mended.stderr
        assert damaged.read_bytes() == SHARDS["model_00002-of-00002.safetensors"]
        assert files_got(log) == ["model_00002-of-00002.safetensors"]
        assert marker.exists()


@downloads
def test_other_pins_than_those_of_the_fetch_are_noticed(tmp_path: Path) -> None:
    _, path = asked(tmp_path)
    with hub.serve({("model", NAME): (REVISION, FILES)}) as (endpoint, _):
        assert run(endpoint, [path, "--models", str(tmp_path)]).returncode == 0
        pins = {"model_00001-of-00002.safetensors": "1" * 64, "model_00003-of-00003.safetensors": "2" * 64}
        _, path = asked(tmp_path, files=pins)
        done = run(endpoint, [path, "--models", str(tmp_path), "--verify"])
    assert done.returncode == InputError.exit_code
    assert "model_00003-of-00003.safetensors was not fetched, and is pinned" in done.stderr
    assert "model_00001-of-00002.safetensors is not the file that is pinned" in done.stderr


def stored(folder: Path) -> dict[str, str]:
    """Write a model folder as a run reads one, and return the pin of its weights."""
    from runner.bench.inputs import tokenizer

    folder.mkdir(parents=True)
    sizes = {"vocab_size": 512, "n_embed": 128, "n_layer": 2, "num_attention_heads": 4}
    (folder / "config.json").write_text(json.dumps({"model_type": "bloom", **sizes}))
    tokenizer.kit().backend_tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.safetensors").write_bytes(b"weights")
    return {"model.safetensors": hashlib.sha256(b"weights").hexdigest()}


@downloads
def test_a_cache_from_another_host_is_whole_by_the_pins_without_a_network(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--bigscience--bloomz" / "snapshots" / REVISION
    pins = stored(snapshot)
    request, path = asked(tmp_path, files=pins)
    done = run("http://127.0.0.1:9", [path, "--models", str(tmp_path)])
    assert done.returncode == 0, done.stderr
    files = model_cache.marked_files(str(tmp_path / "hub"), HubModel.of(request.model))
    assert files is not None
    assert {file.name for file in files} == {"config.json", "tokenizer.json", *pins}
    (snapshot / "model.safetensors").write_bytes(b"x")
    Path(model_cache.marker(str(tmp_path / "hub"), HubModel.of(request.model))).unlink()
    done = run("http://127.0.0.1:9", [path, "--models", str(tmp_path)])
    assert done.returncode == Unreachable.exit_code
    assert "not whole yet: " in done.stderr and "model.safetensors is not the file that is pinned" in done.stderr


@downloads
def test_a_copy_in_a_folder_is_compared_with_the_pins_alone(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    pins = stored(copy)
    _, path = asked(tmp_path, files=pins)
    done = run("http://127.0.0.1:9", [path, "--model-dir", str(copy)])
    assert done.returncode == 0, done.stderr
    assert f"complete at {REVISION} in {copy}" in done.stderr
    _, unpinned = asked(tmp_path, revision="8" * 40)
    done = run("http://127.0.0.1:9", [unpinned, "--model-dir", str(copy)])
    assert done.returncode == 0, done.stderr
    assert "`python -m runner lock --only hub` resolves them where the hub answers" in done.stderr
    both = run("http://127.0.0.1:9", [path, unpinned, "--model-dir", str(copy)])
    assert both.returncode == UsageError.exit_code
    assert "--model-dir holds one model, and the requests ask for 2" in both.stderr
    (copy / "model.safetensors").write_bytes(b"x")
    done = run("http://127.0.0.1:9", [path, "--model-dir", str(copy)])
    assert done.returncode == InputError.exit_code
    assert "model.safetensors is not the file that is pinned" in done.stderr


@downloads
def test_without_a_folder_weights_go_where_bench_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request, path = asked(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    listed = tmp_path / "requests"
    listed.write_text(f"{path}\n")
    with hub.serve({("model", NAME): (REVISION, FILES)}) as (endpoint, _):
        away = run(endpoint, ["--from", str(listed)])
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        done = run(endpoint, ["--from", str(listed)], offline=None)
    assert away.returncode == Unreachable.exit_code
    assert "HF_HUB_OFFLINE" in away.stderr
    assert done.returncode == 0, done.stderr
    assert model_cache.is_marked(str(tmp_path / "home" / "hub"), HubModel.of(request.model))


def test_no_request_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="No REQUEST is named. Name one, or the file that lists them with --from."):
        prefetch.main([])


@downloads
def test_an_attempt_keeps_the_whole_files_of_the_one_before(tmp_path: Path) -> None:
    _, path = asked(tmp_path)
    models, broken = tmp_path / "models", [True]

    def cut(where: str, content: bytes) -> bytes:
        return content[:1000] if broken and where.endswith("00002-of-00002.safetensors") else content

    with hub.serve({("model", NAME): (REVISION, FILES)}, cut) as (endpoint, log):
        first = run(endpoint, [path, "--models", str(models)])
        assert first.returncode == Unreachable.exit_code, first.stderr
        assert "What is there stays; run the same command again" in first.stderr
        assert not list(models.rglob(".complete-*"))
        del log[:], broken[:]
        second = run(endpoint, [path, "--models", str(models)])
        assert second.returncode == 0, second.stderr
        assert files_got(log) == ["model_00002-of-00002.safetensors", "tokenizer.json"]
    assert len(list(models.rglob(".complete-*"))) == 1


@downloads
def test_content_that_is_not_what_the_hub_says_is_fetched_again_and_then_refused(tmp_path: Path) -> None:
    _, path = asked(tmp_path)
    spoilt = []

    def spoil_once(where: str, content: bytes) -> bytes:
        if where.endswith("00002-of-00002.safetensors") and not spoilt:
            spoilt.append(where)
            return b"x" * len(content)
        return content

    with hub.serve({("model", NAME): (REVISION, FILES)}, spoil_once) as (endpoint, _):
        mended = run(endpoint, [path, "--models", str(tmp_path / "a")])
        assert mended.returncode == 0, mended.stderr
        assert "is not what the hub says it is; fetching it again" in mended.stderr

    def spoil(where: str, content: bytes) -> bytes:
        return b"x" * len(content) if where.endswith("config.json") else content

    with hub.serve({("model", NAME): (REVISION, FILES)}, spoil) as (endpoint, _):
        refused = run(endpoint, [path, "--models", str(tmp_path / "b")])
        assert refused.returncode == InputError.exit_code
        assert "config.json of bigscience/bloomz came twice with other content" in refused.stderr
        assert not list((tmp_path / "b").rglob(".complete-*"))


@downloads
def test_no_marker_is_left_while_another_model_is_still_missing(tmp_path: Path) -> None:
    _, first = asked(tmp_path)
    _, second = asked(tmp_path, name="bigscience/none", revision="8" * 40)
    with hub.serve({("model", NAME): (REVISION, FILES)}) as (endpoint, _):
        done = run(endpoint, [first, second, "--models", str(tmp_path / "models")])
    assert done.returncode == InputError.exit_code, done.stderr
    assert "The hub has no bigscience/none at 8888" in done.stderr
    assert not list((tmp_path / "models").rglob(".complete-*"))


@downloads
@pytest.mark.parametrize(
    "files, pins, problem",
    [
        ({"config.json": b"{}"}, {}, "has no weights that a run can read"),
        ({"pytorch_model.bin": b"a", "config.json": b"{}"}, {}, "pytorch_model.bin is a pickle whose sha256 is not in"),
        (FILES, {next(iter(SHARDS)): "1" * 64}, "is another file at the hub than versions.lock pins"),
    ],
)
def test_what_a_run_would_refuse_is_refused_before_it_is_fetched(
    tmp_path: Path, files: dict[str, bytes], pins: dict[str, str], problem: str
) -> None:
    _, path = asked(tmp_path, files=pins)
    with hub.serve({("model", NAME): (REVISION, files)}) as (endpoint, log):
        done = run(endpoint, [path, "--models", str(tmp_path / "models")])
    assert done.returncode == InputError.exit_code, done.stderr
    assert problem in done.stderr
    assert files_got(log) == []


@downloads
def test_a_hub_that_is_not_there_is_worth_another_try(tmp_path: Path) -> None:
    _, path = asked(tmp_path)
    done = run("http://127.0.0.1:9", [path, "--models", str(tmp_path / "models")])
    assert done.returncode == Unreachable.exit_code, done.stderr
    assert "run the same command again" in done.stderr


def test_waiting_ends_with_the_marker_or_with_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request, path = asked(tmp_path)
    arguments = [path, "--models", str(tmp_path / "models")]
    with pytest.raises(
        InputError, match=r"bigscience/bloomz at 7{40} is not whole in .* after 0 s\. See the log of the Job"
    ):
        prefetch.main([*arguments, "--wait-s", "0"])
    monkeypatch.setattr(
        "time.sleep", lambda seconds: model_cache.mark(str(tmp_path / "models" / "hub"), HubModel.of(request.model), [])
    )
    assert prefetch.main([*arguments, "--wait-s", "60"]) == 0
    assert "waiting at most 60 s" in capsys.readouterr().err
    assert prefetch.main(arguments) == 0
    for more in ([], ["--wait-s", "60"]):
        capsys.readouterr()
        assert prefetch.main([*arguments, *more, "--json"]) == 0
        (model,) = events(capsys.readouterr().out, "prefetch")
        assert (model["model"], model["repository"], model["revision"]) == ("bloomz", NAME, REVISION)


def test_dummy_weights_need_nothing(tmp_path: Path) -> None:
    request = samples.request()
    path = tmp_path / "dummy.json"
    path.write_text(strictjson.pretty(request.to_json()))
    assert prefetch.main([str(path), "--models", str(tmp_path / "models")]) == 0
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda path: path.write_text(""), "is not usable JSON"),
        (lambda path: path.write_text("[]"), "does not say that bigscience/bloomz is whole"),
        (lambda path: path.write_text('{"revision": "other"}'), "does not say that bigscience/bloomz is whole"),
        (os.mkfifo, "it is a FIFO"),
        (os.mkdir, "Is a directory"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nowhere"),
    ],
)
def test_a_marker_that_does_not_say_so_is_none(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    request, path = asked(tmp_path)
    marker = Path(model_cache.marker(str(tmp_path / "models" / "hub"), HubModel.of(request.model)))
    marker.parent.mkdir(parents=True)
    make(marker)
    for more in ([], ["--wait-s", "0"]):
        with pytest.raises(InputError, match=message):
            prefetch.main([path, "--models", str(tmp_path / "models"), *more])


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "x"])
def test_a_time_to_wait_is_a_number_that_ends(tmp_path: Path, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, path = asked(tmp_path)
    with pytest.raises(SystemExit):
        prefetch.main([path, "--models", str(tmp_path), "--wait-s", seconds])
    assert "--wait-s" in capsys.readouterr().err


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request, _ = asked(tmp_path)
    (tmp_path / "models").write_text("a file")
    monkeypatch.setattr(
        hub_client, "list_files", lambda model, token: [HubFile("model.safetensors", 1, "0" * 64, None)]
    )
    with pytest.raises(PublishFailed, match="models cannot be used: .*Name another folder with --models"):
        prefetch._fetch_all(str(tmp_path / "models"), [HubModel.of(request.model)], None)


@pytest.mark.parametrize(
    "make",
    [
        os.mkdir,
        os.mkfifo,
        lambda path: path.write_bytes("hf_canarycanary".encode("utf-16")),
        lambda path: path.write_bytes(b"\xff\xffhf_canarycanary"),
        lambda path: path.write_text("hf_canarycanary\nanother"),
        lambda path: path.write_text("x" * 100_000),
        lambda path: path.symlink_to("nowhere"),
    ],
)
def test_a_file_that_holds_no_token_is_refused_without_its_content(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "token")
    with pytest.raises(InputError, match="Check --token-file") as caught:
        prefetch._token(str(tmp_path / "token"))
    assert "canary" not in str(caught.value)


def test_a_token_is_masked_from_then_on(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\ufeffmy-own-hub-words\n")
    assert prefetch._token(str(tmp_path / "token")) == "my-own-hub-words"
    assert mask("it said my-own-hub-words.") == "it said ***."


def test_a_token_is_read_from_a_file_that_need_not_be_there(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_canary\n")
    assert prefetch._token(str(tmp_path / "token")) == "hf_canary"
    assert prefetch._token(str(tmp_path / "none")) is None
    assert prefetch._token(None) is None


def test_a_wait_ends_by_sigterm_at_once(tmp_path: Path) -> None:
    """The first process of a pod ends by no signal that it does not ask for, and holds devices while it waits."""
    _, path = asked(tmp_path)
    command = [sys.executable, "-m", "runner", "prefetch", str(path), "--models", str(tmp_path), "--wait-s", "100000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", cwd=ROOT)
    with process:
        assert process.stderr is not None
        assert "waiting at most" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_S) == Interrupted.exit_code
