"""The verb ``run`` under the real podman: from a request to a compared result, and a Ctrl-C that loses nothing and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.contract.errors import Interrupted
from runner.contract.records import Result
from runner.host import paths
from runner.host.results import result_files as results
from tests.images.conftest import Built
from tests.images.containers import RUN_S, confined_podman

STACK = "cpu"


class Kit:
    """Runs verbs in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._variables = {**os.environ, **confined_podman(folder), "PYTHONPATH": str(paths.ROOT)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "runner", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=self._variables, stdout=pipe, stderr=pipe, encoding="utf-8"
        )

    def __call__(self, *arguments: str) -> str:
        running = self.start(*arguments)
        output, errors = running.communicate(timeout=RUN_S)
        assert running.returncode == 0, errors
        return output

    def collected(self, logs: str) -> Result:
        (path,) = self("collect", *logs.split(), "--results", "results").split()
        return results.read_one(self.folder / path)[0]


@pytest.fixture
def kit(tmp_path: Path, built: Built) -> Kit:
    # the record of the image in build/images is what `run` looks for
    built(STACK)
    return Kit(tmp_path)


def containers_here(name: str) -> str:
    command = ["podman", "ps", "--all", "--quiet", "--filter", f"name={name}"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip()


def test_a_request_is_measured_in_its_image_as_in_a_pod(kit: Kit, built: Built) -> None:
    request = kit("request", "cpu-2", "--out", "requests").strip()
    events = [json.loads(line) for line in kit("run", request, "--with", "podman", "--json").splitlines()]
    started, log = events
    result = kit.collected(log["path"])
    (launch,) = result["launches"]
    assert launch["status"] == "complete" and len(launch["ranks"]) == 2
    image = f"localhost/bloomz-bench/cpu@sha256:{built(STACK).image}"
    assert started["image"] == result["request"]["stack"]["image"] == result["environment"]["image"] == image
    assert result["environment"]["installation"] == "image"
    assert log["attempts"] == [result["attempt"]["id"]]
    assert not containers_here(started["name"])
    rows = json.loads(kit("compare", "results", "--json"))
    assert rows


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_container(kit: Kit) -> None:
    request = kit("request", "cpu-1", "--launches", "2", "--out", "requests").strip()
    running = kit.start("run", request, "--with", "podman")
    assert running.stderr is not None
    for line in running.stderr:
        if "launch 2/2: starting" in line:
            break
    os.kill(running.pid, signal.SIGINT)
    output, errors = running.communicate(timeout=RUN_S)
    assert running.returncode == Interrupted.exit_code, errors
    assert "What was measured is kept: 1 of 2 launches" in errors
    result = kit.collected(output)
    assert result["attempt"]["status"] == "interrupted" and len(result["launches"]) == 1
    assert not containers_here(Path(output.strip()).stem)
