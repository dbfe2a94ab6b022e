"""The verb ``prepare``: what it refuses before it looks at anything, and the plan that it prints offline."""

from __future__ import annotations

import json

import pytest

from runner.__main__ import main
from runner.contract.errors import UsageError
from runner.host import paths
from runner.host.preparation import here
from runner.host.verbs import prepare
from tests.support import prepared
from tests.support.json_output import events


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["gaudi3", "--registry", "registry.example/team"], "There is no set 'gaudi3'. Known are gaudi2,"),
        (
            ["cpu", "--registry", "https://u:p@registry.example/x"],
            "--registry must be the name of an image's repository",
        ),
        (["cpu", "--registry=--help"], "--registry must be the name of an image's repository"),
        (["cpu", "--registry", "registry.example/Team"], "--registry must be the name of an image's repository"),
        (["cpu", "--registry", ""], "--registry must be the name of an image's repository"),
    ],
)
def test_a_value_that_cannot_be_is_refused(arguments: list[str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        prepare.main(arguments)
    assert told in str(caught.value)


@pytest.mark.parametrize("arguments", [[], ["cpu"], ["--registry", "registry.example/team"]])
def test_a_set_and_a_registry_must_be_named(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        prepare.main(arguments)
    assert caught.value.code == UsageError.exit_code


def test_the_plan_is_printed_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "look", lambda needed: prepared.machine())
    before = paths.LOCK.read_bytes()
    assert main(["prepare", "a100", "--registry", "registry.example/team/", "--dry-run", "--json"]) == 0
    output = capsys.readouterr().out
    told = events(output, "prepare")
    steps = [event["step"] for event in told if event["event"] == "step"]
    assert steps[:4] == ["resolve", "build", "push", "record"] and steps[-1] == "compare"
    (push,) = [event for event in told if event["event"] == "step" and event["step"] == "push"]
    assert push["message"] == "to registry.example/team/bloomz-bench-cuda-2023"
    sizes = {event["what"]: event["size_bytes"] for event in told if event["event"] == "fetch"}
    assert sizes["the weights of bigscience/bloomz"] == 352_494_542_848
    assert all(json.loads(line) for line in output.splitlines())
    assert paths.LOCK.read_bytes() == before
