"""How devices reach a container, and what is said, with what to install, where they cannot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import Unsupported
from runner.host.containers import hooks
from runner.host.containers.hooks import Hooks
from tests.host.containers import told
from tests.host.containers.told import EIGHT_GPUS, GAUDI, HOOK, NOTHING, NVIDIA, docker, podman, seeing

# As `nvidia-ctk cdi generate` writes them; the form is that of the CDI specification and of the toolkit's page "cdi-support".
CDI = """---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
  - name: "0"
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia0
  - name: "1"
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia1
  - name: all
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia0
        - path: /dev/nvidia1
containerEdits:
  env:
    - NVIDIA_VISIBLE_DEVICES=void
  hooks:
    - hookName: createContainer
      path: /usr/bin/nvidia-cdi-hook
      args: [nvidia-cdi-hook, update-ldcache, --folder, /usr/lib/x86_64-linux-gnu]
"""


def test_podman_takes_gpus_by_cdi() -> None:
    assert hooks.words(podman(), EIGHT_GPUS, NVIDIA, 2) == [
        "--device",
        "nvidia.com/gpu=0",
        "--device",
        "nvidia.com/gpu=1",
    ]
    assert hooks.words(podman(rootless=True), EIGHT_GPUS, NVIDIA, 1) == ["--device", "nvidia.com/gpu=0"]


def test_docker_takes_gpus_by_its_own_flag_else_by_cdi() -> None:
    assert hooks.words(docker("nvidia"), HOOK, NVIDIA, 8) == ["--gpus", '"device=0,1,2,3,4,5,6,7"']
    assert hooks.words(docker(), EIGHT_GPUS, NVIDIA, 1) == ["--device", "nvidia.com/gpu=0"]


def test_docker_takes_gaudis_by_the_vendor_s_runtime() -> None:
    four = ["--runtime", "habana", "--env", "HABANA_VISIBLE_DEVICES=0,1,2,3"]
    assert hooks.words(docker("habana"), NOTHING, GAUDI, 4) == four
    modules = seeing(NOTHING, "5", "4", resource=GAUDI, modules=True)
    assert hooks.words(docker("habana"), modules, GAUDI, 2)[-1] == "HABANA_VISIBLE_MODULES=5,4"


def test_the_devices_that_the_user_lets_be_seen_are_the_ones() -> None:
    gpus = seeing(EIGHT_GPUS, "6", "7")
    assert hooks.words(podman(), gpus, NVIDIA, 1) == ["--device", "nvidia.com/gpu=6"]
    assert hooks.words(docker("nvidia"), seeing(HOOK, "6", "7"), NVIDIA, 2) == ["--gpus", '"device=6,7"']
    with pytest.raises(Unsupported, match="8 of nvidia.com/gpu are needed, and variables of this shell let 2 be seen"):
        hooks.words(podman(), gpus, NVIDIA, 8)


@pytest.mark.parametrize(
    "runtime, ways, resource, sentence",
    [
        (podman(), NOTHING, NVIDIA, "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"),
        (docker(), NOTHING, NVIDIA, "sudo nvidia-ctk runtime configure --runtime=docker"),
        (podman(), NOTHING, GAUDI, "Use docker with the vendor's runtime"),
        (docker(), NOTHING, GAUDI, "/usr/bin/habana-container-runtime"),
        (docker(), NOTHING, "example.com/chip", "is not known to hand out example.com/chip"),
    ],
    ids=["podman-gpu", "docker-gpu", "podman-gaudi", "docker-gaudi", "another"],
)
def test_a_hook_that_is_missing_is_said_with_what_installs_it(
    runtime: hooks.Runtime, ways: Hooks, resource: str, sentence: str
) -> None:
    with pytest.raises(Unsupported) as refusal:
        hooks.words(runtime, ways, resource, 1)
    assert sentence in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_device_that_the_specification_lacks_is_named() -> None:
    two = Hooks({NVIDIA: ("0", "1", "all")}, nvidia_hook=False, visible={})
    with pytest.raises(Unsupported, match="8 of .* the CDI specification has 2: it lists 0, 1. "):
        hooks.words(podman(), two, NVIDIA, 8)


@pytest.mark.parametrize(
    "listed, visible, name",
    [
        (("0:0", "0:1", "all"), None, "0:0"),
        (("0:0", "0:1", "all"), "0", "0:0"),
        (("0:0", "0:1", "all"), "0:1", "0:1"),
        (("0:0", "1", "all"), None, "1"),
        (("GPU-1e6d718b", "0", "all"), None, "0"),
        (("GPU-1e6d718b", "0", "all"), "GPU-1e6d718b", "GPU-1e6d718b"),
        (("GPU-1e6d718b", "all"), None, "GPU-1e6d718b"),
        (("10:0", "1:0"), "1", "1:0"),
    ],
    ids=["cut", "cut-by-gpu", "cut-by-slice", "whole-first", "two-names", "uuid-asked", "uuid-alone", "ten-is-not-one"],
)
def test_names_are_those_of_the_specification(listed: tuple[str, ...], visible: str | None, name: str) -> None:
    """Slices have the names 0:0, 0:1 there, and no 0 (NVIDIA's page "cdi-support")."""
    ways = Hooks({NVIDIA: listed}, nvidia_hook=False, visible={} if visible is None else {NVIDIA: (visible,)})
    assert hooks.words(podman(), ways, NVIDIA, 1) == ["--device", f"nvidia.com/gpu={name}"]


def test_one_gpu_of_two_names_is_not_two() -> None:
    twice = Hooks({NVIDIA: ("0", "GPU-1e6d718b", "all")}, nvidia_hook=False, visible={})
    with pytest.raises(Unsupported, match="the CDI specification has 1"):
        hooks.words(podman(), twice, NVIDIA, 2)


def test_a_uuid_that_a_specification_by_index_lacks_is_told_with_what_lists_it() -> None:
    ways = seeing(EIGHT_GPUS, "MIG-b4895dbf")
    with pytest.raises(
        Unsupported, match="has no device MIG-b4895dbf: .*cdi generate --device-name-strategy=uuid --output"
    ):
        hooks.words(podman(), ways, NVIDIA, 1)


def test_specifications_are_read_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "etc" / "nvidia.yaml").write_text(CDI)
    (tmp_path / "run" / "nvidia.json").write_text(
        json.dumps({"cdiVersion": "0.5.0", "kind": NVIDIA, "devices": [{"name": "GPU-1e6d718b"}]})
    )
    found = hooks.cdi_devices([str(tmp_path / "etc"), str(tmp_path / "run"), str(tmp_path / "gone")])
    assert found == {NVIDIA: ("0", "1", "all", "GPU-1e6d718b")}


@pytest.mark.parametrize(
    "content", ["", "[]", "kind: x", "a: [", "kind: x\ndevices: [1]", "a: 1\n---\nb: 2"], ids=range(6)
)
def test_a_specification_that_cannot_be_read_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.yaml").write_text(content)
    (tmp_path / "b.yaml").write_text(CDI)
    (tmp_path / "c.txt").write_text(CDI.replace("gpu", "other"))
    assert list(hooks.cdi_devices([str(tmp_path)])) == [NVIDIA]


def test_variables_and_programs_of_this_host_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia.yaml").write_text(CDI)
    runtime = replace(docker("habana"), cdi_folders=(str(tmp_path),))
    monkeypatch.setenv("PATH", str(tmp_path))
    bare = hooks.look(runtime, {})
    assert (bare.nvidia_hook, bare.visible, bare.modules) == (False, {}, False)
    assert bare.cdi[NVIDIA] == ("0", "1", "all")
    program = tmp_path / hooks.NVIDIA_HOOK
    program.write_text("")
    program.chmod(0o755)
    seen = hooks.look(runtime, {"CUDA_VISIBLE_DEVICES": "2, 3", "HABANA_VISIBLE_DEVICES": "all"})
    assert seen.nvidia_hook and seen.visible == {NVIDIA: ("2", "3")}
    assert hooks.look(runtime, {"HABANA_VISIBLE_MODULES": "5"}).visible == {GAUDI: ("5",)}
    assert hooks.look(runtime, {"CUDA_VISIBLE_DEVICES": ""}).visible == {NVIDIA: ()}


def test_a_registered_runtime_is_a_hook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert hooks.look(docker("nvidia", cdi=False), {}).nvidia_hook
    assert told.docker().oci_runtimes.isdisjoint({"nvidia", "habana"})
