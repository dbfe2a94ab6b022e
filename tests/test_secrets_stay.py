"""No verb prints or writes a secret that stands in a variable, an argument or a file that it is given.

Whole runs of `bench` are looked through in test_walk.py, runs in a cluster in host/test_submit.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.__main__ import VERBS
from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.request import Model, Weights
from tests.support import package_index, planted, samples
from tests.support.patience import HANG_S

# What is given to each verb, with a secret wherever one can be given; all end soon, most in a refusal.
GIVEN = {
    "request": [
        ["--list"],
        ["cpu-1", "--out", "{folder}/requests"],
        [planted.TOKEN],
        [planted.TOKEN, "--json"],
        ["cpu-dataset", "--dataset-file", "{secret}", "--column", planted.TOKEN, "--out", "{folder}/requests"],
    ],
    "devices": [["--json"], [planted.TOKEN]],
    "prepare": [
        [planted.TOKEN, "--registry", "registry.example/team"],
        ["cpu", "--registry", f"planted-user:{planted.PASSWORD}@registry/team"],
        ["cpu", "--registry", "registry.example/team", "--dry-run", "--json"],
    ],
    "render": [
        ["cpu", "--out", "{folder}/manifests", "--variable", f"A_TOKEN={planted.OTHER}"],
        [
            "cpu",
            "--out",
            "{folder}/manifests",
            "--registry",
            f"planted-user:{planted.PASSWORD}@registry/team",
            "--json",
        ],
        [planted.TOKEN, "--out", "{folder}/manifests"],
    ],
    "doctor": [
        ["--set", "cpu", "--kubeconfig", "{kubeconfig}", "--json"],
        [
            "--cases",
            "cpu-1",
            "--kubeconfig",
            "{secret}",
            "--registry",
            f"planted-user:{planted.PASSWORD}@registry/team",
        ],
        [planted.TOKEN],
    ],
    "prefetch": [["{hub}", "--models", "{folder}/models", "--token-file", "{secret}"], ["{secret}"]],
    "packages": [
        ["--recipe", "{recipe}", "--packages", "{folder}/packages"],
        ["--recipe", "{secret}", "--packages", "{folder}/packages", "--json"],
    ],
    "install": [
        ["--recipe", "{recipe}", "--packages", planted.TOKEN, "--environment", "{folder}/environment"],
        ["--recipe", "{secret}", "--packages", "{folder}", "--environment", "{folder}/environment"],
    ],
    "reach": [["{secret}", "--port", "9", "--within-s", "0"], ["{hostfile}", "--port", "9", "--within-s", "0"]],
    "sshd": [["--port", planted.TOKEN]],
    "bench": [["{hub}", "--model-dir", "{model}", "--results", "{folder}/results"], ["{secret}"], [planted.TOKEN]],
    "run": [
        ["{hub}", "--dry-run", "--runs", "{folder}/runs"],
        ["{hub}", "--image", f"cpu=registry/x@sha256:{'12' * 32}", "--variable", f"A_TOKEN={planted.OTHER}"],
        ["{hub}", "--image", f"cpu={planted.TOKEN}", "--json"],
        ["{hub}", "--image", f"cpu=registry/x@sha256:{'12' * 32}", "--model-dir", "{model}", "--json"],
        ["{secret}"],
        [planted.TOKEN],
    ],
    "submit": [
        ["{secret}"],
        ["{manifest}", "--kubeconfig", "{kubeconfig}", "--dry-run", "--passing-timeout-s", "1"],
        ["{manifest}", "--kubeconfig", "{kubeconfig}", "--dry-run", "--passing-timeout-s", "1", "--json"],
    ],
    "follow": [["a", "--kubeconfig", "{kubeconfig}", "--passing-timeout-s", "1", "--runs", "{folder}/runs", "--json"]],
    "cancel": [["a", "--kubeconfig", "{kubeconfig}", "--passing-timeout-s", "1", "--runs", "{folder}/runs"]],
    "frames": [["{named}"]],
    "collect": [
        ["{log}", "--results", "{folder}/results"],
        ["{log}", "--results", "{folder}/json", "--json"],
        ["{secret}"],
    ],
    "compare": [["{named}"], ["{named}", "--json"], ["{secret}"], [planted.TOKEN]],
    "claims": [[], [planted.TOKEN]],
    "report": [
        ["{named}", "--out", "{folder}/report", "--no-png"],
        ["{named}", "--out", "{folder}/json", "--no-png", "--json"],
        ["{secret}", "--out", "{folder}/refused", "--no-png"],
        ["{named}", "--out", "{folder}/x", "--laboratory", f"{planted.TOKEN}={planted.TOKEN}"],
        ["{named}", "--out", "{folder}/x", "--prices", "{secret}"],
        ["--published-only", "--out", "{folder}/x", "--source", planted.TOKEN],
        [planted.TOKEN, "--out", planted.TOKEN],
    ],
    "export": [
        *([name, "--out", "{folder}/exports/", "{named}"] for name in ("llm-d", "vllm-latency")),
        *(
            [name, "--out", f"{{folder}}/{name}", "{named}"]
            for name in ("csv", "parquet", "openmetrics", "pytorch-hud")
        ),
        ["markdown", "--out", "-", "{named}"],
        ["csv", "--out", "{folder}/csv", "--json", "{secret}"],
        ["csv", "--out", "{folder}/csv", "--claim", planted.TOKEN, "--request", planted.TOKEN],
        [planted.TOKEN, "--out", planted.TOKEN],
    ],
    "completion": [["bash"], [planted.TOKEN]],
    "lock": [["--check"], ["--stack", planted.TOKEN], ["--check", "--online", "--only", "packages", "--stack", "cpu"]],
    "bump": [
        ["--stack", planted.TOKEN],
        ["--only", "packages", "--stack", "cpu"],
        ["--only", "models", "--json"],
        [planted.TOKEN, "--to", "1"],
        ["cpu/datasets", "--to", planted.TOKEN, "--offline", "--dry-run"],
        ["cuda/image", "--to", planted.TOKEN, "--offline", "--dry-run"],
        [planted.TOKEN, "--like", "cpu"],
        ["x", "--like", planted.TOKEN],
        ["x", "--like", "cpu", "--set", f"image.tag={planted.TOKEN}"],
        ["x", "--like", "cpu", "--set", f"{planted.TOKEN}=1"],
    ],
    "image": [[planted.TOKEN], ["cpu", "--check"], ["cpu", "--push", f"planted-user:{planted.PASSWORD}@registry/team"]],
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the files that verbs are given: damaged, foreign or named after a secret, and each with one in it."""
    folder = tmp_path_factory.mktemp("given")

    def write(name: str, text: str) -> str:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        return str(folder / name)

    model = Model("bloom-560m", samples.TINY, "bigscience/bloom-560m", "0123456789" * 4, {})
    hub = samples.request(weights=Weights("hub", None, None), model=model)
    failed = samples.body()
    # a result of a kit that masked nothing
    failed["launches"] = [{**failed["launches"][0], "status": "failed", "error": f"token={planted.OTHER} was refused"}]
    result = strictjson.pretty(contract.seal(failed))
    server = f"https://planted-user:{planted.PASSWORD}@127.0.0.1:9"
    kubeconfig = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {"token": planted.OTHER}}],
    }
    return {
        "secret": write(f"{planted.TOKEN}.json", f'{{"token": "{planted.OTHER}", "x": '),
        "recipe": str(package_index.Kit(folder / "kit", []).recipe_folder),
        "hub": write("hub.json", strictjson.pretty(hub.to_json())),
        "hostfile": write("hosts", f"{planted.API_KEY}.invalid slots=1\n"),
        "model": str(Path(write(f"{planted.TOKEN}/config.json", f"token={planted.OTHER}")).parent),
        "manifest": write(
            "manifest.yaml", f"kind: Job\nmetadata: {{name: a, annotations: {{token: {planted.OTHER}}}}}\n"
        ),
        "kubeconfig": write("kubeconfig", json.dumps(kubeconfig)),
        "named": str(Path(write(f"{planted.API_KEY}/20261122T100000Z-0123abcd.json", result)).parent),
        "log": write(
            "a.log", f"token={planted.OTHER}\n@frame begin 20261122T100000Z-0123abcd bytes=1 parts=1 sha256=0\n"
        ),
    }


def test_every_verb_is_tried() -> None:
    assert set(GIVEN) == set(VERBS)


@pytest.mark.parametrize("verb", GIVEN)
def test_no_planted_secret_is_printed_or_written(verb: str, given: dict[str, str], tmp_path: Path) -> None:
    folder, temporary = tmp_path / "made", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    environment = {**os.environ, **planted.VARIABLES, "TMPDIR": str(temporary), "HOME": str(temporary)}
    for arguments in GIVEN[verb]:
        filled = [argument.format(folder=folder, **given) for argument in arguments]
        done = subprocess.run(
            [sys.executable, "-m", "runner", verb, *filled],
            capture_output=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=HANG_S,
        )
        # frames carry results as they are: the kit that wrote one has masked it before it was sealed
        printed = b"" if verb == "frames" else done.stdout
        assert planted.found_in(printed + done.stderr) == [], (arguments, printed + done.stderr)
        assert b"Traceback" not in done.stderr and done.returncode not in (1, 70), done.stderr
        assert planted.found_below(folder) == {}
        assert planted.found_below(temporary) == {}
