"""The verb ``doctor``: what is looked at, what is printed, and its exit code."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.contract.errors import NotReady, Unsupported, UsageError
from runner.contract.found_devices import DeviceFound
from runner.host.doctor import devices, kernel
from runner.host.doctor.findings import Look, not_ready, ready
from tests.support.json_output import events
from tests.support.registry import Registry

GAUDI2 = DeviceFound(0, "HL-225", "gaudi2", "hpu", 96 * 10**9, "1.10.0-494", None, 0, "hl-smi", "1.10.0-fw-43.2.0")


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the looks a host without devices, container programs and kubeconfig, whose kernel is ready."""
    monkeypatch.setattr(devices, "here", list)
    monkeypatch.setattr(kernel, "looks", lambda needs: [Look("host", "kernel", lambda: ready("It is."))])
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none"))


def looked(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[tuple[str, str], str]:
    """Return the states by area and by what was looked at."""
    assert main(["doctor", "--json", *arguments]) == code
    output, _ = capsys.readouterr()
    return {(event["area"], event["what"]): event["state"] for event in events(output, "doctor")}


def test_without_flags_the_walk_on_the_cpu_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    found = looked(capsys)
    assert found["host", "accelerators"] == found["host", "kernel"] == "ready"
    assert found["registry", "registry"] == found["cluster", "kubeconfig"] == "not looked at"
    assert ("pins", "pins of cpu") in found and not [what for area, what in found if area == "weights"]


def test_the_cases_follow_from_the_accelerators_that_are_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "here", lambda: [GAUDI2])
    found = looked(capsys, code=NotReady.exit_code)
    assert found["host", "driver for gaudi-1.10"] == "ready"
    assert ("pins", "pins of gaudi-1.10") in found and ("pins", "pins of cpu") not in found
    assert [what for area, what in found if area == "weights"] == ["weights of bloomz-7b1"]


def test_devices_that_nobody_could_tell_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[DeviceFound]:
        raise Unsupported("The verb devices ended with exit code 3.")

    monkeypatch.setattr(devices, "here", fail)
    assert looked(capsys)["host", "accelerators"] == "not looked at"


def test_named_cases_are_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    found = looked(capsys, "--cases", "gaudi2-1-bloomz-7b1", code=NotReady.exit_code)
    assert found["host", "accelerators"] == found["container", "podman or docker"] == "not ready"


def test_a_set_is_looked_for_in_a_cluster_and_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    found = looked(capsys, "--set", "multinode", code=NotReady.exit_code)
    assert found["host", "this host"] == "not looked at"
    assert found["cluster", "kubeconfig"] == "not ready"
    assert found["weights", "weights of bloomz"] == "cannot be told"
    assert not [area for area, _ in found if area == "container"]


def test_a_registry_is_looked_at_where_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with Registry("nothing") as registry:
        found = looked(capsys, "--registry", f"{registry.address}/team")
    assert found["registry", "push"] == "ready" and ("registry", "buildah") in found


@pytest.fixture
def silent_cluster(tmp_path: Path) -> Iterator[Path]:
    """Yields a kubeconfig whose cluster does not answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        kubeconfig = {
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{probe.getsockname()[1]}"}}],
            "users": [{"name": "a", "user": {"token": "x"}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "current-context": "a",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
        yield tmp_path / "kubeconfig"


def test_a_cluster_that_does_not_answer_ends_no_other_look(
    silent_cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = looked(capsys, "--kubeconfig", str(silent_cluster), code=NotReady.exit_code)
    assert found["cluster", "API server"] == "not ready" and found["cluster", "room for cpu-1"] == "not looked at"
    assert ("pins", "pins of cpu") in found


@pytest.mark.parametrize(
    "arguments, state, code",
    [
        ([], "warning", 0),
        (["--cases", "cpu-1"], "warning", 0),
        (["--set", "cpu"], "not ready", NotReady.exit_code),
        (["--context", "a"], "not ready", NotReady.exit_code),
        (["--namespace", "a"], "not ready", NotReady.exit_code),
    ],
    ids=["host", "cases", "set", "context", "namespace"],
)
def test_a_cluster_that_nobody_named_stops_no_run_on_this_host(
    silent_cluster: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    state: str,
    code: int,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(silent_cluster))
    found = looked(capsys, *arguments, code=code)
    assert found["cluster", "API server"] == state and found["cluster", "rights"] == "not looked at"


def test_a_damaged_kubeconfig_that_nobody_named_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubeconfig").write_text("[")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    assert looked(capsys)["cluster", "kubeconfig"] == "warning"


def test_a_kubeconfig_that_cannot_be_used_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked(capsys, "--kubeconfig", str(tmp_path / "none"), code=NotReady.exit_code)
    assert found["cluster", "kubeconfig"] == "not ready"


def test_the_table_fits_80_columns_in_plain_letters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = not_ready("A sentence of a driver that goes on and on. " * 9, "`a-command --with " + "x" * 200 + "`.")
    monkeypatch.setattr(kernel, "looks", lambda needs: [Look("host", "kernel \x1b[31m", lambda: long)])
    assert main(["doctor"]) == NotReady.exit_code
    output, errors = capsys.readouterr()
    assert max(map(len, output.splitlines())) <= 80
    assert output.isascii() and "\x1b" not in output and "-> `a-command" in output
    assert "1 not ready" in output.splitlines()[-1]
    assert errors == "runner: Not ready: host: kernel \\x1b[31m. The remedies stand above; then look again.\n"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--set", "none"], "There is no set 'none'. Known are gaudi2,"),
        (["--cases", "none"], "There is no case 'none'."),
        (["--registry", "a b"], "--registry "),
        (["--queue", "A"], "--queue "),
        (["--storage-class", "a_b"], "--storage-class "),
    ],
)
def test_what_cannot_be_looked_for_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["doctor", *arguments]) == UsageError.exit_code
    assert words in capsys.readouterr().err


def test_a_set_and_cases_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--set", "cpu", "--cases", "cpu-1"]) == UsageError.exit_code
    assert "not allowed with argument --set" in capsys.readouterr().err
