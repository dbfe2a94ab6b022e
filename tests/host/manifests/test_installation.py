"""Pods that install their stack over its base, where no image of the stack was built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError, UsageError
from runner.contract.records import JsonObject
from runner.host import paths
from runner.host.manifests import check, config, plan, sets
from runner.host.manifests.site import ANY, Site
from runner.host.objects import kinds, names, walk
from runner.host.objects.collect_job import collect_job
from runner.host.objects.quantities import quantity
from runner.host.readers import lockfile
from runner.host.stacks import recipe
from runner.host.verbs import render as verb
from tests.support import manifests

# The annotations of an object have at most 256 KiB, K8S apimachinery ValidateAnnotationsSize.
MAX_ANNOTATIONS_BYTES = 262_144


def of_component(objects: list[JsonObject], component: str) -> list[JsonObject]:
    return [run for run in objects if run["kind"] in kinds.RUNS and names.component_of(run) == component]


def installing(name: str, site: Site = ANY, registry: str | None = None) -> list[JsonObject]:
    """Return the objects of a set as if nobody had built an image."""
    return manifests.objects(name, site, registry, image=None)


def steps(spec: JsonObject) -> list[str]:
    return [container["name"] for container in walk.containers_of(spec)]


def variables(container: JsonObject) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}


# --- what a pod does, in order ---


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("cpu", ["unpack", "install", "bench"]),
        ("gaudi2", ["unpack", "install", "wait-for-weights", "bench"]),
        ("a100", ["unpack", "interpreter", "install", "wait-for-weights", "bench"]),
        ("multinode", ["unpack", "install", "wait-for-weights", "bench"]),
        ("multinode-jobset", ["unpack", "install", "wait-for-weights", "bench"]),
    ],
)
def test_every_bench_pod_installs_before_it_measures(name: str, wanted: list[str]) -> None:
    benches = of_component(installing(name), names.BENCH)
    assert benches
    for spec in [spec for run in benches for spec in walk.pod_specs(run)]:
        assert steps(spec) == wanted
        measuring = spec["containers"][0]
        assert measuring["command"][:2] == ["sh", "/opt/kit/recipe/enter.sh"]
        assert variables(measuring)["BLOOMZ_BENCH_INSTALLATION"] == "pod"
        assert variables(measuring)["BLOOMZ_BENCH_IMAGE"] == measuring["image"]
        read = {mount["mountPath"] for mount in measuring["volumeMounts"] if mount.get("readOnly")}
        assert read >= {"/opt/kit", "/opt/bench"}
        assert "/packages" not in {mount["mountPath"] for mount in measuring["volumeMounts"]}


def test_what_the_base_lacks_comes_from_the_interpreter_s_image() -> None:
    (run, *_) = of_component(installing("a100"), names.BENCH)
    images = {container["name"]: container["image"] for container in walk.containers_of(walk.pod_specs(run)[0])}
    stack = manifests.read_once()[1].stacks["cuda-2023"]
    assert stack.interpreter is not None
    assert images == {
        "unpack": stack.interpreter.reference,
        "interpreter": stack.interpreter.reference,
        "install": stack.image.reference,
        "wait-for-weights": stack.image.reference,
        "bench": stack.image.reference,
    }


@pytest.mark.parametrize("name", manifests.names())
def test_one_job_of_the_set_fetches_packages_holds_no_device_and_installs_nothing(name: str) -> None:
    objects = installing(name)
    (fetch,) = of_component(objects, names.PACKAGES)
    (spec,) = walk.pod_specs(fetch)
    assert steps(spec)[-1] == "packages" and names.INSTALL not in steps(spec)
    assert spec["containers"][0]["command"] == list(recipe.DOWNLOAD)
    writing = [mount for mount in spec["containers"][0]["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writing] == ["/packages", "/tmp"]
    limits = spec["containers"][0]["resources"]["limits"]
    assert not [kind for kind in limits if "/" in kind or kind.startswith("hugepages")]
    # a refusal is final, and an index that does not answer is worth another try
    (failing,) = [rule for rule in fetch["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert {2, 3, 4, 10} <= set(failing["onExitCodes"]["values"]) and 9 not in failing["onExitCodes"]["values"]
    assert fetch["spec"]["backoffLimit"] > 0


@pytest.mark.parametrize("name", ["gaudi2", "a100", "multinode"])
def test_what_fetches_weights_installs_too_and_a_stack_with_an_image_needs_none_of_this(name: str) -> None:
    (prefetch,) = of_component(installing(name), names.PREFETCH)
    assert steps(walk.pod_specs(prefetch)[0])[-2:] == ["install", "prefetch"]
    with_image = manifests.objects(name)
    assert of_component(with_image, names.PACKAGES) == []
    assert len([manifest for manifest in with_image if manifest["kind"] == "ConfigMap"]) == (
        2 if name == "multinode" else 1
    )
    for spec in [spec for run in of_component(with_image, names.BENCH) for spec in walk.pod_specs(run)]:
        assert steps(spec) == ["wait-for-weights", "bench"]
        assert variables(spec["containers"][0])["BLOOMZ_BENCH_INSTALLATION"] == "image"


def test_the_claims_of_several_nodes_can_be_mounted_by_several_nodes() -> None:
    claim = manifests.one(installing("multinode"), "PersistentVolumeClaim", "bench-packages")
    assert (claim["metadata"]["name"], claim["spec"]["accessModes"]) == ("bench-packages-shared", ["ReadWriteMany"])
    assert walk.shared_claims(of_component(installing("multinode"), names.BENCH)[0]) == [
        "bench-models-shared",
        "bench-packages-shared",
    ]


@pytest.mark.parametrize("name", manifests.names())
def test_the_disk_of_a_pod_holds_all_of_its_volumes(name: str) -> None:
    for where, template in walk.pods(installing(name)):
        spec = template["spec"]
        disks = [volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume]
        wanted = sum(quantity(disk["sizeLimit"]) for disk in disks if disk.get("medium") != "Memory")
        assert wanted < quantity(spec["containers"][0]["resources"]["limits"]["ephemeral-storage"]), where


@pytest.mark.parametrize("name", manifests.names())
def test_no_init_container_makes_a_pod_ask_for_more_than_what_measures(name: str) -> None:
    for run in of_component(installing(name), names.BENCH):
        for spec in walk.pod_specs(run):
            limits = spec["containers"][0]["resources"]["limits"]
            for container in spec["initContainers"]:
                for kind, amount in container["resources"]["limits"].items():
                    assert quantity(amount) <= quantity(limits[kind]), (container["name"], kind)


def test_on_a_node_of_two_cores_the_packages_can_be_fetched_beside_a_bench_that_waits_for_them() -> None:
    objects = installing("cpu")
    (fetch,) = of_component(objects, names.PACKAGES)
    (spec,) = walk.pod_specs(fetch)
    asked = max(quantity(container["resources"]["requests"]["cpu"]) for container in walk.containers_of(spec))
    for bench in of_component(objects, names.BENCH):
        (spec,) = walk.pod_specs(bench)
        (container,) = spec["containers"]
        # the system's own pods have a part of a node
        assert asked + quantity(container["resources"]["requests"]["cpu"]) < 2


@pytest.mark.parametrize("name", manifests.names())
def test_objects_that_are_applied_together_with_another_set_are_the_same_or_have_another_name(name: str) -> None:
    mine = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in installing(name)}
    for other in manifests.names():
        for manifest in installing(other) if other != name else ():
            key = manifest["kind"], manifest["metadata"]["name"]
            if key in mine and manifest["kind"] in ("Job", "ConfigMap", "PersistentVolumeClaim"):
                assert manifest == mine[key]


# --- texts ---


@pytest.mark.parametrize("name", manifests.names())
def test_a_pod_gets_the_kit_and_its_stack_s_recipe_and_its_own_script_makes_files_of_them(
    name: str, tmp_path: Path
) -> None:
    objects = installing(name)
    data = {manifest["metadata"]["name"]: manifest["data"] for manifest in objects if manifest["kind"] == "ConfigMap"}
    (fetch,) = of_component(objects, names.PACKAGES)
    (spec,) = walk.pod_specs(fetch)
    (source,) = [volume for volume in spec["volumes"] if volume["name"] == "source"]
    (tmp_path / "source").mkdir()
    for part in walk.config_maps(source):
        for key, text in data[part].items():
            assert not (tmp_path / "source" / key).exists()
            (tmp_path / "source" / key).write_text(text, encoding="utf-8")
    command = [
        argument.replace("/source", str(tmp_path / "source")) for argument in spec["initContainers"][0]["command"]
    ]
    command = [sys.executable, *command[1:-1], str(tmp_path / "kit")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    tables, lock, table = manifests.read_once()
    (stack,) = {tables.cases[case].stack for case in table.sets[name].cases}
    wanted = {**recipe.kit(), **recipe.of_stack(lock, stack)}
    made = [path for path in (tmp_path / "kit").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "kit")): path.read_text(encoding="utf-8") for path in made} == wanted


@pytest.mark.parametrize("name", manifests.names())
@pytest.mark.parametrize("image", [None, manifests.IMAGE], ids=["installed", "image"])
def test_kubectl_apply_can_keep_its_copy_of_every_object(name: str, image: str | None) -> None:
    for manifest in manifests.objects(name, image=image):
        annotations = manifest["metadata"].get("annotations", {})
        others = sum(len(key) + len(value) for key, value in annotations.items())
        key = "kubectl.kubernetes.io/last-applied-configuration"
        # kubectl writes the object with its annotations emptied of this one, and a newline at the end
        assert config.applied_bytes(manifest) + 1 + len(key) + others < MAX_ANNOTATIONS_BYTES, walk.title(manifest)


def test_texts_are_counted_as_kubectl_writes_them() -> None:
    # encoding/json of Go: <, > and & as six bytes, a newline as two, an umlaut as itself
    assert config.applied_bytes({"a": "<&>\nä"}) == len('{"a":"') + 18 + 2 + 2 + len('"}')


def test_texts_that_are_too_large_together_come_in_parts_that_are_named_by_their_content() -> None:
    data = {f"k{number}": "x" * 100_000 for number in range(5)}
    parts = config.parts("kit", data)
    assert [list(part) for part in parts.values()] == [["k0", "k1"], ["k2", "k3"], ["k4"]]
    assert [name.rpartition("-v")[0] for name in parts] == ["config-kit-1", "config-kit-2", "config-kit-3"]
    changed = config.parts("kit", {**data, "k2": "y" * 100_000})
    assert [before == after for before, after in zip(parts, changed, strict=True)] == [True, False, True]
    assert config.parts("kit", {}) == {}


# --- images ---


def test_a_base_with_a_digest_is_the_image_of_the_request_and_one_without_is_named_by_tag_and_said_to_be() -> None:
    lock = manifests.read_once()[1]
    for name, stack in (("cpu", "cpu"), ("gaudi2", "gaudi-1.10")):
        objects = installing(name)
        (run, *_) = of_component(objects, names.BENCH)
        request = json.loads(next(iter(manifests.one(objects, "ConfigMap", f"config-{name}-v")["data"].values())))
        base = lock.stacks[stack].image
        image = walk.pod_specs(run)[0]["containers"][0]["image"]
        if base.digest == lockfile.UNRESOLVED:
            assert (image, request["stack"]["image"]) == (f"{base.repository}:{base.tag}", None)
            assert names.tagged_bases(run) == names.tagged_bases(walk.templates(run)[0]) == [image]
        else:
            assert (image, request["stack"]["image"]) == (base.reference, base.reference)
            assert names.tagged_bases(run) == []


def test_a_mirror_has_the_bases_under_its_own_name_and_the_request_stays() -> None:
    def request_of(objects: list[JsonObject]) -> JsonObject:
        return manifests.one(objects, "ConfigMap", "config-a100-v")["data"]

    mirrored = installing("a100", registry="mirror.example/team/")
    images = {container["image"].partition("@")[0] for _, _, container in walk.containers(mirrored)}
    assert images == {"mirror.example/team/python", "mirror.example/team/cuda"}
    assert request_of(mirrored) == request_of(installing("a100"))
    gaudi2 = installing("gaudi2", registry="mirror.example/team")
    (run, *_) = of_component(gaudi2, names.BENCH)
    assert names.tagged_bases(run) == ["mirror.example/team/pytorch-installer-2.0.1:1.10.0-494"]
    assert check.problems(gaudi2) == check.problems(mirrored) == []


def test_a_stack_with_an_open_pin_says_so_in_its_manifests_in_the_words_of_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = lockfile.read()
    fork = lock.stacks["gaudi-1.10"].sources["deepspeed"]
    lock.sources[fork] = replace(lock.sources[fork], commit=lockfile.UNRESOLVED)
    monkeypatch.setattr(lockfile, "read", lambda: lock)
    sentence = f"the commit of {fork}, which deepspeed is built from, is unresolved in versions.lock"
    assert verb.main(["gaudi2", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err.startswith(f"gaudi-1.10: {sentence}")
    for run in [run for run in manifests.read(tmp_path) if run["kind"] == "Job"]:
        assert run["metadata"]["annotations"][names.PROBLEM].startswith(sentence)
        assert "Run `python -m runner lock`" in run["metadata"]["annotations"][names.PROBLEM]
    assert verb.main(["cpu", "a100", "--check"]) == 0
    assert capsys.readouterr().err == ""


def test_what_only_the_base_tells_is_not_asked_for() -> None:
    """The vendor's plugin comes with the base; what its version is, the base lists and the result holds."""
    objects = installing("gaudi2")
    assert not any(names.PROBLEM in run["metadata"]["annotations"] for run in objects if run["kind"] == "Job")
    request = json.loads(manifests.one(objects, "ConfigMap", "config-gaudi2-v")["data"]["gaudi2-8-bloomz.json"])
    assert "habana-torch-plugin" not in request["stack"]["packages"]
    assert request["stack"]["packages"]["torch"] == "2.0.1"


def test_two_stacks_of_a_set_have_their_own_packages_and_share_the_kit() -> None:
    tables, lock, table = manifests.read_once()
    row = replace(table.sets["cpu"], cases=("cpu-1", "a100-1-bloomz-7b1"))
    plans = [plan.make(tables, lock, table, case, 1, {}, None, manifests.texts()) for case in row.cases]
    objects = [manifest for file in sets.files(ANY, "two", row, plans).values() for manifest in file.objects]
    assert check.problems(objects) == []
    assert [
        run["metadata"]["labels"]["app.kubernetes.io/instance"] for run in of_component(objects, names.PACKAGES)
    ] == [
        "packages-two-cpu",
        "packages-two-cuda-2023",
    ]


# --- the user's cluster ---


def test_settings_of_pip_and_proxies_come_to_what_fetches_those_of_the_hub_to_all_and_others_to_the_bench() -> None:
    given = {
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "GIT_SSL_CAINFO": "/etc/ssl/certs/mirror.pem",
        "https_proxy": "http://proxy.example:3128",
        "HF_ENDPOINT": "http://hub.example",
        "HCCL_SOCKET_IFNAME": "eth0",
    }
    objects = installing("gaudi2", Site(variables=given))
    assert check.problems(objects) == []
    seen = {}
    for component in (names.PACKAGES, names.PREFETCH, names.BENCH):
        (run, *_) = of_component(objects, component)
        containers = walk.containers_of(walk.pod_specs(run)[0])
        seen[component] = given.keys() & variables(containers[-1]).keys()
        for container in containers[:-1]:
            assert not given.keys() & variables(container).keys(), container["name"]
    assert seen == {
        names.PACKAGES: {"PIP_INDEX_URL", "GIT_SSL_CAINFO", "https_proxy", "HF_ENDPOINT"},
        names.PREFETCH: {"PIP_INDEX_URL", "GIT_SSL_CAINFO", "https_proxy", "HF_ENDPOINT"},
        names.BENCH: {"HF_ENDPOINT", "HCCL_SOCKET_IFNAME"},
    }
    for component in (names.PACKAGES, names.PREFETCH):
        policy = manifests.one(objects, "NetworkPolicy", f"bench-{component}")["spec"]
        assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [53, 53, 443, 80, 3128]


def test_without_a_mirror_what_fetches_reaches_names_and_https_alone() -> None:
    policy = manifests.one(installing("cpu"), "NetworkPolicy", "bench-packages")["spec"]
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [53, 53, 443]


def test_an_address_whose_port_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the address https://mirror.example:99999/simple: Port out of range"):
        verb.main(["cpu", "--out", str(tmp_path), "--variable", "PIP_INDEX_URL=https://mirror.example:99999/simple"])
    assert not list(tmp_path.iterdir())


# --- taking results off the volume ---


@pytest.mark.parametrize("name", ["cpu", "a100", "multinode", "multinode-jobset"])
def test_the_job_that_prints_results_brings_the_kit_and_waits_for_no_package(name: str) -> None:
    (run, *_) = of_component(installing(name), names.BENCH)
    job = collect_job(run)
    assert job is not None
    spec = job["spec"]["template"]["spec"]
    interpreter = ["interpreter"] if name == "a100" else []
    assert steps(spec) == ["unpack", *interpreter, "collect"]
    printing = spec["containers"][0]
    assert printing["command"][:6] == ["sh", "/opt/kit/recipe/enter.sh", "python3", "-m", "runner", "frames"]
    mounted = {mount["name"] for container in walk.containers_of(spec) for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}
    assert not {"packages", "environment", "models"} & mounted
    assert all(mount.get("readOnly") or mount["name"] == "tmp" for mount in printing["volumeMounts"])
    room = sum(quantity(volume["emptyDir"]["sizeLimit"]) for volume in spec["volumes"] if "emptyDir" in volume)
    assert room < quantity(printing["resources"]["limits"]["ephemeral-storage"])


# --- folders ---


@pytest.mark.parametrize("name", manifests.names())
def test_a_folder_leads_to_the_one_copy_of_the_kit(name: str, tmp_path: Path) -> None:
    folder = paths.K8S / manifests.read_once()[2].sets[name].folder
    link = folder / "41-kit.yaml"
    assert link.is_symlink() and link.resolve() == (paths.K8S / "kit" / "41-kit.yaml").resolve()
    assert check.problems(manifests.read(folder)) == []


@pytest.mark.parametrize("spoil", ["another place", "a copy", "missing", "of an earlier version"])
def test_a_link_that_leads_elsewhere_is_drift_and_mended(tmp_path: Path, spoil: str) -> None:
    assert verb.main(["cpu", "--out", str(tmp_path)]) == 0
    link = tmp_path / "cpu" / "41-kit.yaml"
    assert os.readlink(link) == "../kit/41-kit.yaml"
    if spoil == "of an earlier version":
        link = tmp_path / "cpu" / "39-kit.yaml"
        link.symlink_to("../kit/41-kit.yaml")
    else:
        link.unlink()
    if spoil == "another place":
        link.symlink_to("../kit/Kustomization")
    elif spoil == "a copy":
        shutil.copy(tmp_path / "kit" / "41-kit.yaml", link)
    with pytest.raises(InputError, match=f"{link.name}: not what catalog and lock make"):
        verb.main(["cpu", "--out", str(tmp_path), "--check"])
    assert verb.main(["cpu", "--out", str(tmp_path)]) == 0
    assert verb.main(["cpu", "--out", str(tmp_path), "--check"]) == 0


def test_a_folder_in_the_place_of_the_link_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cpu" / "41-kit.yaml").mkdir(parents=True)
    with pytest.raises(InputError, match="41-kit.yaml cannot be written: .*Name another folder with --out"):
        verb.main(["cpu", "--out", str(tmp_path)])


def test_only_the_folders_of_sets_are_printed_for_submit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(["cpu", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/cpu\n"
    assert (tmp_path / "kit" / "41-kit.yaml").is_file()
