"""The command as a user types it: one sentence, a documented exit code, never a traceback."""

import json
import os
import subprocess
import sys

import pytest

from tests import samples


def runner(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_help_lists_verbs_and_exit_codes():
    code, out, _ = runner("--help")
    assert code == 0
    for told in ("request", "bench", "collect", "compare", "lock", "130  stopped by Ctrl-C"):
        assert told in out


def test_no_verb_prints_the_help_and_is_a_mistake():
    code, out, _ = runner()
    assert code == 2
    assert "verbs, in the order of their use" in out


@pytest.mark.parametrize(
    "arguments, code, told",
    [
        (["bnech"], 2, "invalid choice: 'bnech'"),
        (["bench"], 2, "required: REQUEST"),
        (["bench", "--reslts", "x", "r.json"], 2, "unrecognized arguments: --reslts"),
        (["bench", "no-such.json"], 3, "no-such.json cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_exit_code(arguments, code, told):
    found, out, err = runner(*arguments)
    assert (found, out) == (code, "")
    assert told in err


def test_a_damaged_request_is_named(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"kind": "request", "kind": "request"}')
    code, _, err = runner("bench", str(path))
    assert code == 3
    assert err == f"runner: {path} is not usable JSON: key 'kind' stands twice. Make it, or fetch it, again.\n"


def test_a_device_that_this_version_cannot_measure_is_refused(tmp_path):
    value = samples.request().to_json()
    value["accelerator"]["device"] = value["stack"]["device"] = "cuda"
    from runner.contract import strictjson
    from runner.contract.request import Request

    content = {key: part for key, part in value.items() if key != "id"}
    value["id"] = f"cpu-1-{strictjson.sha256_of(content)[:12]}"
    assert Request.from_json(value, "a test").id == value["id"]
    path = tmp_path / "r.json"
    path.write_text(json.dumps(value))
    code, _, err = runner("bench", str(path), "--results", str(tmp_path / "results"))
    assert code == 10
    assert "Device cuda cannot be measured by this version" in err
    assert not (tmp_path / "results").exists()
