"""The command line of a container is the Job's pod template: every field is carried, or left out with a reason."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import InputError, KitError, Unsupported, UsageError
from runner.contract.records import JsonObject
from runner.host import cases
from runner.host.cases import Changes
from runner.host.containers import command, plans
from runner.host.containers.command import LEFT_OUT, Bind, Place
from runner.host.manifests.site import ANY, Site
from runner.host.objects import names
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles
from tests.host.containers import told

CATALOG, LOCK = catalogs.read(), lockfile.read()
PROFILES = profiles.read(CATALOG)
IMAGE = f"registry.example/team/image@sha256:{'12' * 32}"
RUNS = Path("/runs/a run")
# All that a cluster's site can add, so that no field of a template is missing here.
SITE = Site(
    variables={"HCCL_SOCKET_IFNAME": "lo"},
    tolerations=({"key": "dedicated", "operator": "Exists"},),
    node_selector={"pool": "bench"},
    runtime_class="nvidia",
    priority_class="high",
)
# The templates: without a device, with GPUs, and with Gaudis and weights.
CASES = ["cpu-1", "cpu-2", "a100-1-bloomz-7b1", "h100-8-bloomz-compiled", "gaudi2-8-bloomz", "gaudi-1-bloomz-7b1"]


def planned(case: str, site: Site = ANY) -> plans.ContainerPlan:
    request = cases.make(CATALOG, LOCK, case, draft=True)
    return plans.make(CATALOG, PROFILES, request, IMAGE, site)


def place(program: str = "podman", **changes: Any) -> Place:
    runtime = told.podman() if program == "podman" else told.docker("habana", "nvidia")
    volumes = {
        plans.CONFIG: Bind(RUNS / "config"),
        names.RESULTS: Bind(RUNS / "results"),
        names.MODELS: Bind(Path("/cache/hub/models--x"), "hub/models--x"),
    }
    given = {
        "runtime": runtime,
        "hooks": told.EIGHT_GPUS,
        "name": "bloomz-bench-x",
        "images": {IMAGE: "0123abcd"},
        "volumes": volumes,
    }
    return Place(**{**given, "termination_log": RUNS / "termination-message.json", **changes})


def values_of(words: list[str], flag: str) -> list[str]:
    return [value for name, value in itertools.pairwise(words) if name == flag]


def test_a_job_without_a_device() -> None:
    """The whole command, so that a reader sees what runs."""
    words = command.arguments(planned("cpu-2").template, place())
    variables = values_of(words, "--env")
    labels = values_of(words, "--label")
    shown = [word for word in words if word not in {"--env", "--label", *variables, *labels}]
    assert shown == [
        *(
            "podman",
            "run",
            "--rm",
            "--pull",
            "never",
            "--network",
            "none",
            "--log-driver",
            "none",
            "--pids-limit",
            "-1",
        ),
        *("--http-proxy=false", "--passwd=false", "--name", "bloomz-bench-x", "--restart", "no"),
        *("--stop-timeout", "60", "--user", "10001:10001", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--read-only", "--mount", "type=bind,source=/runs/a run/config,target=/config,readonly"),
        *("--mount", "type=bind,source=/runs/a run/results,target=/results", "--shm-size", "536870912b"),
        *("--mount", "type=volume,target=/tmp"),
        *("--mount", "type=bind,source=/runs/a run/termination-message.json,target=/dev/termination-log"),
        *(
            "--entrypoint",
            "python3",
            "0123abcd",
            "-m",
            "runner",
            "bench",
            "/config/cpu-2.json",
            "--results",
            "/results",
        ),
        *("--frames", "--termination-message", "/dev/termination-log"),
    ]
    assert f"BLOOMZ_BENCH_IMAGE={IMAGE}" in variables and "HF_HUB_OFFLINE=1" in variables
    assert "bloomz-bench.dev/accelerator=cpu" in labels and "app.kubernetes.io/component=bench" in labels


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, list[str | int]]]:
    """Yield every value of a template: its path without the numbers of lists, and the way to it."""

    def walk(part: Any, way: list[str | int]) -> Iterator[list[str | int]]:
        inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else None
        if inside is None or not part:
            yield way
            return
        for key, child in inside:
            yield from walk(child, [*way, key])

    for way in walk(value, []):
        yield ".".join(str(key) for key in way if isinstance(key, str)), way


def changed(template: JsonObject, way: list[str | int]) -> JsonObject:
    """Return a template with one other value."""
    other = copy.deepcopy(template)
    part: Any = other
    for key in way[:-1]:
        part = part[key]
    value = part[way[-1]]
    if isinstance(value, bool):
        part[way[-1]] = not value
    elif isinstance(value, int):
        part[way[-1]] = value + 1
    elif isinstance(value, list):
        part[way[-1]] = ["one more"]
    elif isinstance(value, dict):
        part[way[-1]] = {"one": "more"}
    else:
        # a number of devices, an amount of memory, or any other text
        part[way[-1]] = "1" if value.isdigit() and value != "1" else f"1{value}" if value[:1].isdigit() else f"{value}x"
    return other


def outcome(template: JsonObject, program: str) -> object:
    try:
        return command.arguments(template, place(program))
    except (KitError, KeyError) as refusal:
        return repr(refusal)


@pytest.mark.parametrize("program", ["podman", "docker"])
@pytest.mark.parametrize("case", CASES)
def test_every_field_of_a_job_s_template_is_carried_or_left_out_with_a_reason(case: str, program: str) -> None:
    """A field that no word carries makes no other command: this test then names the field, which needs a line in LEFT_OUT."""
    if case.startswith("gaudi") and program == "podman":
        pytest.skip("podman has no way to hand out a Gaudi")
    template = planned(case, SITE).template
    plain = outcome(template, program)
    assert isinstance(plain, list), plain
    forgotten, needless = set(), set()
    for path, way in leaves(template):
        reason = next((left for left in LEFT_OUT if path == left or path.startswith(f"{left}.")), None)
        carried = outcome(changed(template, way), program) != plain
        if not carried and reason is None:
            forgotten.add(path)
        if carried and reason is not None and reason != "spec.volumes.emptyDir.sizeLimit":
            needless.add(path)
    assert not forgotten
    assert not needless


def test_no_reason_is_for_a_field_that_no_template_has() -> None:
    paths = {path for case in CASES for path, _ in leaves(planned(case, SITE).template)}
    for left in LEFT_OUT:
        assert any(path == left or path.startswith(f"{left}.") for path in paths), left


def test_a_new_field_of_a_job_would_be_noticed() -> None:
    template = planned("cpu-1").template
    template["spec"]["containers"][0]["workingDir"] = "/elsewhere"
    plain = command.arguments(template, place())
    (way,) = [way for path, way in leaves(template) if path == "spec.containers.workingDir"]
    assert command.arguments(changed(template, way), place()) == plain
    assert "spec.containers.workingDir" not in LEFT_OUT


@pytest.mark.parametrize(
    "program, rootless", [("podman", False), ("podman", True), ("docker", False), ("docker", True)]
)
def test_the_user_the_root_and_the_rights_are_those_of_the_job(program: str, rootless: bool) -> None:
    runtime = told.podman(rootless) if program == "podman" else told.docker(rootless=rootless)
    words = command.arguments(planned("cpu-1").template, place(program, runtime=runtime))
    assert runtime.rootless is rootless
    assert values_of(words, "--user") == ["10001:10001"]
    assert values_of(words, "--cap-drop") == ["ALL"]
    assert values_of(words, "--security-opt") == ["no-new-privileges"]
    assert values_of(words, "--network") == ["none"]
    assert "--read-only" in words and "--privileged" not in words


def test_docker_takes_none_of_podman_s_own_words() -> None:
    words = command.arguments(planned("cpu-1").template, place("docker"))
    assert words[:2] == ["docker", "run"]
    assert not {"--http-proxy=false", "--passwd=false"} & set(words)


def test_where_selinux_labels_files_the_container_is_not_confined_by_a_label() -> None:
    for runtime in (told.podman(selinux=True), told.docker(selinux=True)):
        words = command.arguments(planned("cpu-1").template, place(runtime=runtime))
        assert "label=disable" in values_of(words, "--security-opt")


def test_one_gpu_and_eight_by_cdi() -> None:
    one = command.arguments(planned("a100-1-bloomz-7b1").template, place())
    eight = command.arguments(planned("h100-8-bloomz-compiled").template, place())
    assert values_of(one, "--device") == ["nvidia.com/gpu=0"]
    assert values_of(eight, "--device") == [f"nvidia.com/gpu={index}" for index in range(8)]
    assert values_of(eight, "--shm-size") == [f"{16 * 2**30}b"]


def test_eight_gaudis_and_their_weights() -> None:
    words = command.arguments(planned("gaudi2-8-bloomz").template, place("docker"))
    assert values_of(words, "--runtime") == ["habana"]
    assert "HABANA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7" in values_of(words, "--env")
    assert "OMPI_MCA_btl_vader_single_copy_mechanism=none" in values_of(words, "--env")
    assert "type=bind,source=/cache/hub/models--x,target=/models/hub/models--x,readonly" in values_of(words, "--mount")
    assert words[words.index("--model-dir") + 1].startswith("/models/hub/models--bigscience--bloomz/snapshots/")


@pytest.mark.parametrize("name", ["with, comma", 'with "quote"', "with\nline"])
def test_a_folder_that_no_command_line_can_name_is_refused(name: str) -> None:
    folder = Path("/runs") / name
    with pytest.raises(UsageError, match="cannot be given to a container. Name another folder"):
        command.arguments(planned("cpu-1").template, place(volumes={plans.CONFIG: Bind(folder)}))


def test_a_volume_that_nothing_here_stands_for_is_refused() -> None:
    with pytest.raises(Unsupported, match="Nothing on this host stands for the volume"):
        command.arguments(planned("cpu-1").template, place(volumes={plans.CONFIG: Bind(RUNS)}))


@pytest.mark.parametrize(
    "volume, told_of",
    [({"emptyDir": {"medium": "HugePages"}}, "has a kind"), ({"hostPath": {"path": "/"}}, "has a kind")],
)
def test_a_kind_of_volume_that_containers_do_not_get_is_refused(volume: JsonObject, told_of: str) -> None:
    template = planned("cpu-1").template
    template["spec"]["volumes"] = [
        {"name": "tmp", **volume} if one["name"] == "tmp" else one for one in template["spec"]["volumes"]
    ]
    with pytest.raises(Unsupported, match=told_of):
        command.arguments(template, place())


@pytest.mark.parametrize(
    "changes",
    [{"runAsUser": 0}, {"runAsNonRoot": False}, {"seccompProfile": {"type": "Unconfined"}}],
    ids=["root", "any", "seccomp"],
)
def test_a_template_with_more_rights_than_a_job_s_is_refused(changes: JsonObject) -> None:
    template = planned("cpu-1").template
    template["spec"]["securityContext"] |= changes
    with pytest.raises(Unsupported, match="Mend runner/host/manifests/pod.py"):
        command.arguments(template, place())


def test_the_request_names_its_image_and_takes_another_id() -> None:
    request = cases.make(CATALOG, LOCK, "cpu-1")
    plan = plans.make(CATALOG, PROFILES, request, IMAGE, ANY)
    assert plan.request.stack.image == IMAGE and request.stack.image is None
    assert plan.request.id != request.id
    assert plan.job.deadline_s == 1800


@pytest.mark.parametrize("case", [name for name, row in CATALOG.cases.items() if row.workload == "latency"])
def test_every_case_of_the_catalog_can_be_planned(case: str) -> None:
    plan = planned(case)
    assert plan.job.profile.accelerator == CATALOG.cases[case].accelerator
    assert plan.job.devices_per_node <= plan.job.profile.devices or case == "gaudi-16-bloomz"


def test_a_product_that_the_catalog_does_not_know_has_what_its_case_has() -> None:
    request = cases.make(CATALOG, LOCK, "other-cuda-1-bloomz-7b1", draft=True)
    request = replace(request, accelerator=replace(request.accelerator, name="nvidia-rtx-6000"))
    plan = plans.make(CATALOG, PROFILES, request, IMAGE, ANY)
    assert (plan.job.resource, plan.job.profile.accelerator) == ("nvidia.com/gpu", "other-cuda")
    with pytest.raises(InputError, match="has no row nvidia-rtx-6000"):
        plans.make(CATALOG, PROFILES, replace(request, case="gone"), IMAGE, ANY)


def test_a_number_of_devices_without_a_profile_takes_the_next_larger_one() -> None:
    request = cases.make(CATALOG, LOCK, "cpu-1", Changes(devices=4))
    assert plans.make(CATALOG, PROFILES, request, IMAGE, ANY).job.profile.devices == 2
    request = cases.make(CATALOG, LOCK, "h100-8-bloomz-compiled", Changes(devices=4, weights="dummy"), draft=True)
    assert plans.make(CATALOG, PROFILES, request, IMAGE, ANY).job.profile.devices == 8


def test_a_dataset_is_refused() -> None:
    sentences = Path(__file__).parents[3] / "examples" / "sentences.jsonl"
    request = cases.make(CATALOG, LOCK, "cpu-dataset", Changes(dataset_file=sentences, column="text"))
    with pytest.raises(Unsupported, match="make bench-dataset"):
        plans.make(CATALOG, PROFILES, request, IMAGE, ANY)
