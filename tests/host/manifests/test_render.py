from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from runner import __version__
from runner.contract.errors import InputError, Unsupported, UsageError
from runner.contract.records import JsonObject
from runner.contract.request import Request
from runner.host import paths
from runner.host.manifests import check, plan, text
from runner.host.manifests.site import Site
from runner.host.objects import kinds, names, walk
from runner.host.objects.collect_job import collect_job
from runner.host.readers import catalog, lockfile, profiles
from runner.host.verbs import render as verb
from tests.support import manifests

IMAGES = [f"--image={stack}={manifests.IMAGE}" for stack in ("cpu", "cuda-2023", "gaudi-1.10")]


def rendered(folder: Path, *arguments: str) -> list[JsonObject]:
    assert verb.main(["--out", str(folder), *arguments]) == 0
    return manifests.read(folder)


def jobs(objects: list[JsonObject], component: str = names.BENCH) -> list[JsonObject]:
    wanted = {"app.kubernetes.io/component": component}.items()
    return [
        manifest
        for manifest in objects
        if manifest["kind"] == "Job" and wanted <= manifest["metadata"]["labels"].items()
    ]


def pod(manifest: JsonObject) -> JsonObject:
    return manifest["spec"]["template"]["spec"]


# --- what is checked in ---


def test_what_is_checked_in_is_what_catalog_and_lock_make() -> None:
    """Mend it with `python -m runner render`, and commit what that writes."""
    assert verb.main(["--check"]) == 0


def test_rendering_again_gives_the_same_bytes(tmp_path: Path) -> None:
    rendered(tmp_path / "a")
    rendered(tmp_path / "b")
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        assert (
            (tmp_path / "a" / path).read_bytes()
            == (tmp_path / "b" / path).read_bytes()
            == (paths.K8S / path).read_bytes()
        )


@pytest.mark.parametrize("spoil", ["edited", "missing", "left over"])
def test_drift_is_refused_and_named(tmp_path: Path, spoil: str) -> None:
    rendered(tmp_path)
    if spoil == "edited":
        path = tmp_path / "cpu" / "60-bench-cpu-1.yaml"
        path.write_text(path.read_text().replace("backoffLimit: 0", "backoffLimit: 1"))
    elif spoil == "missing":
        path = tmp_path / "gaudi" / "30-pvc.yaml"
        path.unlink()
    else:
        path = tmp_path / "69-bench-of-an-earlier-version.yaml"
        shutil.copy(tmp_path / "60-bench-gaudi2-8-bloomz.yaml", path)
    with pytest.raises(InputError, match=f"{path.name}: not what catalog and lock make. Run `python -m runner render`"):
        verb.main(["--out", str(tmp_path), "--check"])
    rendered(tmp_path)
    assert verb.main(["--out", str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize("spoil", ["edited", "missing"])
def test_drift_of_the_containers_table_of_products_is_refused_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    table, rendered_table = tmp_path / "accelerators.json", paths.ACCELERATORS.read_text()
    if spoil == "edited":
        table.write_text(rendered_table.replace("HL-225*", "HL-226*"))
    monkeypatch.setattr(paths, "ACCELERATORS", table)
    with pytest.raises(InputError, match="accelerators.json: not what catalog and lock make"):
        verb.main(["--check"])
    rendered(tmp_path / "elsewhere")
    assert not table.exists() or table.read_text() != rendered_table
    shutil.copytree(paths.K8S, tmp_path / "k8s")
    monkeypatch.setattr(paths, "K8S", tmp_path / "k8s")
    rendered(tmp_path / "k8s")
    assert table.read_text() == rendered_table


def test_a_file_of_yours_beside_them_stays(tmp_path: Path) -> None:
    (tmp_path / "70-mine.yaml").write_text("kind: List\n")
    rendered(tmp_path)
    assert (tmp_path / "70-mine.yaml").exists()


def test_kubectl_apply_reads_the_whole_gaudi2_set_and_nothing_else() -> None:
    objects = manifests.read(paths.K8S)
    assert [manifest["metadata"]["labels"]["app.kubernetes.io/instance"] for manifest in jobs(objects)] == [
        "bench-gaudi2-8-bloomz",
        "bench-gaudi2-8-bloomz-7b1",
        "bench-gaudi2-1-bloomz-7b1",
    ]
    kinds = {manifest["kind"] for manifest in objects}
    assert kinds == {
        *("Namespace", "ServiceAccount", "Role", "NetworkPolicy", "PersistentVolumeClaim", "ConfigMap", "Job")
    }
    assert objects[0]["kind"] == "Namespace"
    assert len(jobs(objects, names.PREFETCH)) == len(jobs(objects, names.PACKAGES)) == 1


@pytest.mark.parametrize("name", manifests.names())
def test_every_set_has_its_cases_as_requests_that_a_pod_can_read(name: str) -> None:
    row = profiles.read(catalog.read()).sets[name]
    objects = manifests.read(paths.K8S / row.folder)
    data = manifests.one(objects, "ConfigMap", f"config-{name}-v")["data"]
    assert sorted(data) == sorted(f"{case}.json" for case in row.cases)
    for file, content in data.items():
        request = Request.from_json(json.loads(content), file)
        (manifest,) = [run for run in objects if names.labels_of(run).get("bloomz-bench.dev/request-id") == request.id]
        assert f"/config/{file}" in json.dumps(manifest)


@pytest.mark.parametrize("name", manifests.names())
def test_every_pod_keeps_a_mesh_s_proxy_out_and_so_does_what_reads_the_volume(name: str) -> None:
    objects = manifests.read(paths.K8S / profiles.read(catalog.read()).sets[name].folder)
    templates = [template for _, template in walk.pods(objects)]
    benches = [run for run in objects if run["kind"] in kinds.RUNS and names.component_of(run) == names.BENCH]
    collecting = [collect_job(run) for run in benches]
    templates += [job["spec"]["template"] for job in collecting if job is not None]
    assert benches and None not in collecting
    assert all(names.NO_MESH.items() <= names.labels_of(template).items() for template in templates)


def test_what_needs_nothing_from_a_hub_gets_no_network_and_no_volume_of_weights() -> None:
    objects = manifests.objects("cpu")
    assert len([manifest for manifest in objects if manifest["kind"] == "NetworkPolicy"]) == 1
    assert manifests.one(objects, "PersistentVolumeClaim")["metadata"]["name"] == "bench-results"
    assert all("initContainers" not in pod(manifest) for manifest in jobs(objects))


def test_eight_devices_get_the_whole_node() -> None:
    (eight, _, single) = [
        pod(manifest)["containers"][0]["resources"]["limits"] for manifest in jobs(manifests.read(paths.K8S))
    ]
    assert (eight["habana.ai/gaudi"], eight["hugepages-2Mi"], eight["memory"], eight["cpu"]) == (
        "8",
        "42000Mi",
        "690Gi",
        "88",
    )
    assert (single["habana.ai/gaudi"], single["hugepages-2Mi"]) == ("1", "5250Mi")


@pytest.mark.parametrize("name", manifests.names())
def test_no_autoscaler_moves_a_measurement(name: str) -> None:
    objects = manifests.objects(name)
    templates = [
        template for run in objects if names.component_of(run) == names.BENCH for template in walk.templates(run)
    ]
    assert templates
    for metadata in [template["metadata"] for template in templates]:
        assert metadata["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
        assert metadata["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
    # A prefetch that moves to another node goes on where it was.
    for prefetch in [run for run in objects if names.component_of(run) == names.PREFETCH]:
        assert "karpenter.sh/do-not-disrupt" not in walk.templates(prefetch)[0]["metadata"]["annotations"]


def replicas(objects: list[JsonObject]) -> JsonObject:
    return manifests.one(objects, "MPIJob")["spec"]["mpiReplicaSpecs"]


def test_an_mpijob_runs_bench_in_its_first_pod_and_lends_the_devices_of_the_others() -> None:
    objects = manifests.read(paths.K8S / "multinode")
    spec = manifests.one(objects, "MPIJob")["spec"]
    assert (spec["slotsPerWorker"], spec["runLauncherAsWorker"], spec["sshAuthMountPath"]) == (
        8,
        True,
        "/home/bench/.ssh",
    )
    assert (replicas(objects)["Launcher"]["replicas"], replicas(objects)["Worker"]["replicas"]) == (1, 1)
    first, other = (replicas(objects)[role]["template"]["spec"]["containers"][0] for role in ("Launcher", "Worker"))
    assert "reach /etc/mpi/hostfile --port 2222" in first["command"][-1]
    assert first["command"][-1].endswith("--hostfile /etc/mpi/hostfile")
    assert other["command"][-1] == "exec python3 -m runner sshd --port 2222 --keys /home/bench/.ssh"
    assert {mount["name"] for mount in first["volumeMounts"]} - {mount["name"] for mount in other["volumeMounts"]} == {
        "results"
    }
    assert first["resources"] == other["resources"]
    claim = manifests.one(objects, "PersistentVolumeClaim", "bench-models")
    assert (claim["metadata"]["name"], claim["spec"]["accessModes"]) == ("bench-models-shared", ["ReadWriteMany"])


def test_a_jobset_has_the_same_pods_and_its_first_writes_a_hostfile_of_their_names(tmp_path: Path) -> None:
    objects = manifests.read(paths.K8S / "multinode-jobset")
    spec, mpi = manifests.one(objects, "JobSet")["spec"], replicas(manifests.read(paths.K8S / "multinode"))
    first = spec["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]
    write, _, script = first["command"][-1].partition("; ")
    hostfile = tmp_path / "hostfile"
    subprocess.run(["sh", "-c", write.replace("/tmp/hostfile", str(hostfile))], env={"JOBSET": "set-r2"}, check=True)
    assert hostfile.read_text() == "set-r2-first-0-0.set-r2 slots=8\nset-r2-other-0-0.set-r2 slots=8\n"
    assert first["env"][-1]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['jobset.sigs.k8s.io/jobset-name']"
    # The subdomain is then the name of the JobSet, also where it is submitted under another name.
    assert "subdomain" not in spec["network"]
    first["command"][-1] = script
    for part, role in zip(spec["replicatedJobs"], ("Launcher", "Worker"), strict=True):
        container = part["template"]["spec"]["template"]["spec"]["containers"][0]
        command = mpi[role]["template"]["spec"]["containers"][0]["command"][-1]
        assert container["command"][-1] == command.replace("/etc/mpi/hostfile", "/tmp/hostfile")
        assert part["template"]["spec"]["completionMode"] == "Indexed"
    assert spec["successPolicy"]["targetReplicatedJobs"] == ["first"]


@pytest.mark.parametrize("name", ["multinode", "multinode-jobset"])
def test_several_nodes_say_that_they_are_experimental(name: str) -> None:
    folder = paths.K8S / name
    (run,) = [manifest for manifest in manifests.read(folder) if manifest["kind"] in ("MPIJob", "JobSet")]
    assert run["metadata"]["annotations"]["bloomz-bench.dev/experimental"] == "true"
    assert "# Experimental: the vendor calls" in (folder / "60-bench-gaudi-16-bloomz.yaml").read_text()


@pytest.mark.parametrize("name, kind", [("multinode", "MPIJob"), ("multinode-jobset", "JobSet")])
def test_a_queue_is_one_label_on_whatever_asks_for_devices(name: str, kind: str) -> None:
    objects = manifests.objects(name, Site(queue="accelerators"))
    (run,) = [manifest for manifest in objects if manifest["kind"] == kind]
    assert run["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "accelerators"


def test_pods_that_log_in_to_each_other_need_a_user_known_beforehand(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="Leave --platform-ids out"):
        verb.main(["multinode", "--platform-ids", "--out", str(tmp_path)])


# --- versions and images ---


def test_a_new_version_has_new_names_for_all_that_cannot_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def immutable(objects: list[JsonObject]) -> set[str]:
        return {manifest["metadata"]["name"] for manifest in objects if manifest["kind"] in ("Job", "ConfigMap")}

    before = immutable(manifests.objects("gaudi2"))
    monkeypatch.setattr(names, "__version__", "98.7.6")
    after = immutable(manifests.objects("gaudi2"))
    assert len(before) == len(after) == 5
    assert not before & after
    today = f"v{__version__.replace('.', '-')}"
    assert {name.replace("v98-7-6", today) for name in after if not name.startswith("config")} <= before


def test_the_project_takes_its_version_from_the_package() -> None:
    project = (paths.ROOT / "pyproject.toml").read_text()
    assert re.search(r'^dynamic = \[.*"version".*\]$', project, re.MULTILINE)
    assert 'version = { attr = "runner.__version__" }' in project
    assert f'"{__version__}"' not in project


def test_an_image_of_the_lock_is_pulled_by_digest_and_carried_by_the_request() -> None:
    tables, lock = catalog.read(), lockfile.read()
    digest = f"sha256:{'7' * 64}"
    lock = replace(lock, built={"cpu": lockfile.PushedImage("registry.example/kit/cpu", digest, "0" * 64)})
    table = profiles.read(tables)
    texts = plan.Texts({}, {})
    made = plan.make(tables, lock, table, "cpu-1", 1, {}, None, texts)
    assert (made.image, made.draft, made.installation) == (f"registry.example/kit/cpu@{digest}", None, None)
    assert made.request.stack.image == made.image
    mirrored = plan.make(tables, lock, table, "cpu-1", 1, {}, "mirror.example:5000/team/", texts)
    assert mirrored.image == f"mirror.example:5000/team/cpu@{digest}"
    assert mirrored.request.id == made.request.id
    given = plan.make(tables, lock, table, "cpu-1", 1, {"cpu": manifests.IMAGE}, None, texts)
    assert (given.image, given.request.stack.image) == (manifests.IMAGE, manifests.IMAGE)


def test_an_image_on_a_stack_with_an_open_pin_stays_a_draft_and_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = lockfile.read()
    packages = lock.stacks["gaudi-1.10"].packages
    packages["deepspeed"] = replace(packages["deepspeed"], version=lockfile.UNRESOLVED)
    monkeypatch.setattr(lockfile, "read", lambda: lock)
    (first, *_) = jobs(rendered(tmp_path, "gaudi2", f"--image=gaudi-1.10={manifests.IMAGE}"))
    assert pod(first)["containers"][0]["image"] == manifests.IMAGE
    assert "gaudi-1.10: the version of deepspeed is unresolved in versions.lock" in capsys.readouterr().err


# --- a user's cluster ---


def test_a_cluster_of_yours_is_rendered_for(tmp_path: Path) -> None:
    options = [
        "--namespace=team",
        "--registry=mirror.example/kit",
        "--storage-class=fast",
        "--access-mode=ReadWriteMany",
    ]
    options += ["--queue=accelerators", "--node-selector=node.kubernetes.io/instance-type=dl1.24xlarge"]
    options += [
        "--toleration=team=ml:NoSchedule",
        "--toleration=spot",
        "--runtime-class=habana",
        "--priority-class=low",
    ]
    objects = rendered(tmp_path, *IMAGES, *options, "gaudi")
    objects = manifests.read(tmp_path / "gaudi")
    assert check.problems(objects) == []
    assert {manifest["metadata"]["namespace"] for manifest in objects} == {"team"}
    assert all(manifest["kind"] != "Namespace" for manifest in objects)
    claims = [manifest["spec"] for manifest in objects if manifest["kind"] == "PersistentVolumeClaim"]
    assert {claim["storageClassName"] for claim in claims} == {"fast"}
    assert {tuple(claim["accessModes"]) for claim in claims} == {("ReadWriteMany",)}
    for manifest in jobs(objects):
        assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "accelerators"
        assert "suspend" not in manifest["spec"]
        spec = pod(manifest)
        assert spec["nodeSelector"] == {"node.kubernetes.io/instance-type": "dl1.24xlarge"}
        assert "nodeAffinity" not in spec["affinity"]
        assert spec["tolerations"] == [
            {"key": "habana.ai/gaudi", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"},
            {"key": "spot", "operator": "Exists"},
        ]
        assert (spec["runtimeClassName"], spec["priorityClassName"]) == ("habana", "low")
        assert spec["containers"][0]["image"] == f"mirror.example/kit/{manifests.IMAGE.rpartition('/')[2]}"
    (prefetch,) = jobs(objects, names.PREFETCH)
    assert "kueue.x-k8s.io/queue-name" not in prefetch["metadata"]["labels"]
    assert pod(prefetch)["nodeSelector"] == pod(jobs(objects)[0])["nodeSelector"]
    rules = manifests.one(objects, "Role")["rules"]
    assert {
        "apiGroups": ["kueue.x-k8s.io"],
        "resources": ["workloads", "localqueues"],
        "verbs": ["get", "list"],
    } in rules


@pytest.mark.parametrize("name, kind", [("gaudi", "Job"), ("multinode", "MPIJob"), ("multinode-jobset", "JobSet")])
def test_what_a_fabric_takes_comes_to_every_bench_pod_and_to_no_prefetch(name: str, kind: str) -> None:
    site = Site(resources={"vpc.amazonaws.com/efa": "4"}, variables={"HCCL_SOCKET_IFNAME": "eth0"})
    objects = manifests.objects(name, site)
    assert check.problems(objects) == []
    for manifest in objects:
        if manifest["kind"] not in ("Job", "MPIJob", "JobSet"):
            continue
        bench = (
            manifest["kind"] == kind and manifest["metadata"]["labels"]["app.kubernetes.io/component"] == names.BENCH
        )
        for container in [spec["containers"][0] for spec in walk.pod_specs(manifest)]:
            asked = container["resources"]
            assert asked["limits"] == asked["requests"]
            assert asked["limits"].get("vpc.amazonaws.com/efa") == ("4" if bench else None)
            assert ({"name": "HCCL_SOCKET_IFNAME", "value": "eth0"} in container["env"]) == bench


def test_nodes_are_labelled_by_what_is_plugged_into_them() -> None:
    (rule,) = yaml.safe_load_all((paths.K8S / "nfd" / "10-accelerators.yaml").read_text())
    rules = {entry["name"]: entry for entry in rule["spec"]["rules"]}
    assert rules.keys() == {"gaudi2", "gaudi"}
    for name, entry in rules.items():
        assert entry["labels"] == {"bloomz-bench.dev/accelerator": name}
    ids = {name: set(entry["matchFeatures"][0]["matchExpressions"]["device"]["value"]) for name, entry in rules.items()}
    assert ids["gaudi2"] == {"1020"} and not ids["gaudi2"] & ids["gaudi"]
    for objects in (manifests.read(paths.K8S), manifests.read(paths.K8S / "gaudi")):
        terms = pod(jobs(objects)[0])["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (wanted,) = terms["nodeSelectorTerms"][0]["matchExpressions"]
        assert any({wanted["key"]: value} == entry["labels"] for value in wanted["values"] for entry in rules.values())


def test_a_platform_that_chooses_users_is_left_the_choice(tmp_path: Path) -> None:
    objects = rendered(tmp_path, "gaudi2", "--platform-ids")
    assert check.problems(objects) == []
    for manifest in jobs(objects):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod(manifest)["securityContext"])


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["gaudi4"], "There is no set 'gaudi4'. Known are gaudi2"),
        (
            ["--image", "gaudi-1.10=registry.example/bench:latest"],
            "--image must be STACK=REFERENCE@sha256:64 hex digits",
        ),
        (["--image", f"gaudi-2={manifests.IMAGE}"], "there is no stack 'gaudi-2'"),
        (["--node-selector", "dl1"], "--node-selector must be KEY=VALUE, 'dl1' was given"),
        (["--toleration", "a=b=c"], "--toleration must be KEY"),
        (["--resource", "efa"], "--resource must be DOMAIN/NAME=NUMBER, 'efa' was given"),
        (["--resource", "habana.ai/gaudi=1"], "--resource habana.ai/gaudi: the kit sets it itself"),
        (["--variable", "A"], "--variable must be NAME=VALUE, 'A' was given"),
        (["--variable", "A=a\x1b[2J"], "--variable must be NAME=VALUE, 'A=a\\x1b[2J' was given"),
        (["--variable", "A=\udcff"], "--variable must be NAME=VALUE, 'A=\\udcff' was given"),
        (["--variable", "A=1", "--variable", "A=2"], "--variable names A twice"),
        (["--resource", "a.example/b=" + "9" * 30], "--resource must be DOMAIN/NAME=NUMBER"),
        (["--image", f"cpu=registry.example/x@sha256:{'0' * 64}"], "--image must be STACK=REFERENCE"),
        (["--image", f"cpu={manifests.IMAGE}\n"], "--image must be STACK=REFERENCE"),
        (["--node-selector", "a=b\n"], "--node-selector must be KEY=VALUE"),
        (["--toleration", "a:Never"], "--toleration must be KEY"),
        (["--registry", "https://registry.example"], "--registry must be the name of an image's repository"),
        (["--storage-class", "a\n"], "--storage-class must be at most 253 lower-case letters"),
        (["--queue", "a/b"], "--queue must be at most 253 lower-case letters"),
        (["--namespace", "a\nb"], "--namespace must be text on one line"),
        (["x\udcff"], "There is no set 'x\\udcff'"),
        (["--variable", "HF_HUB_OFFLINE=0"], "--variable HF_HUB_OFFLINE: the kit sets it itself"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        verb.main(["--out", str(tmp_path / "out"), *arguments])
    assert told in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flag, given",
    [
        ("--variable", "HF_TOKEN=short"),
        ("--variable", "OURS=hf_" + "a" * 34),
        ("--variable", "PROXY=http://user:hunter2@proxy.example:3128"),
        ("--variable", "HEADER=Authorization: Bearer " + "b" * 30),
        ("--node-selector", "pool=hf_" + "a" * 34),
        ("--registry", "https://user:hunter2@registry.example/x"),
    ],
)
def test_a_secret_comes_into_no_manifest_and_into_no_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, given: str
) -> None:
    with pytest.raises(UsageError) as caught:
        verb.main(["cpu", "--out", str(tmp_path / "out"), flag, given])
    output = str(caught.value) + capsys.readouterr().err
    assert not any(secret in output for secret in ("short", "aaaa", "bbbb", "hunter2"))
    assert flag == "--registry" or "looks like a secret" in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["fifo", "file is a fifo", "link outside"])
def test_a_place_that_is_no_folder_of_files_is_one_sentence(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "fifo":
        os.mkfifo(out)
    elif kind == "file is a fifo":
        (out / "cpu").mkdir(parents=True)
        os.mkfifo(out / "cpu" / "30-pvc.yaml")
    else:
        out.mkdir()
        (out / "cpu").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"(cannot be written: .*|leads out of .*)name another|Name another"):
        verb.main(["cpu", "--out", str(out)])
    with pytest.raises(InputError, match="not what catalog and lock make"):
        verb.main(["cpu", "--out", str(out), "--check"])


def test_what_an_api_server_would_refuse_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The manifests would be refused: "):
        verb.main(["--out", str(tmp_path / "out"), "--namespace", "Team_A"])
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written: .* Name another folder with --out"):
        verb.main(["--out", str(tmp_path / "file")])


# --- kustomize ---

KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on the path")


def kustomized(folder: Path) -> list[JsonObject]:
    assert KUBECTL is not None
    done = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, encoding="utf-8", check=True)
    return manifests.documents(done.stdout)


def by_name(objects: list[JsonObject]) -> dict[tuple[str, str], JsonObject]:
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in objects}


@needs_kubectl
@pytest.mark.parametrize("name", manifests.names())
def test_every_set_is_a_base_for_kustomize_and_still_a_folder_for_apply(name: str) -> None:
    folder = paths.K8S / profiles.read(catalog.read()).sets[name].folder
    assert by_name(kustomized(folder)) == by_name(manifests.read(folder))


@needs_kubectl
def test_the_example_of_an_overlay_changes_what_it_says_and_breaks_no_rule() -> None:
    base, yours = manifests.read(paths.K8S), kustomized(paths.ROOT / "examples" / "kustomize" / "yours")
    assert by_name(base).keys() == by_name(yours).keys()
    assert check.problems(yours, without=("content_names_what_cannot_change", "images_are_pinned")) == []
    for manifest in jobs(yours):
        assert pod(manifest)["nodeSelector"] == {"node.kubernetes.io/instance-type": "hls-gaudi2"}
        assert pod(manifest)["tolerations"][-1]["key"] == "team"
        assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "accelerators"
        images = {container["image"] for container in walk.containers_of(pod(manifest))}
        assert images == {"registry.example/mirror/pytorch-installer-2.0.1:1.10.0-494"}
    assert {
        manifest["spec"]["storageClassName"] for manifest in yours if manifest["kind"] == "PersistentVolumeClaim"
    } == {"fast"}


@needs_kubectl
def test_sys_nice_is_opt_in_and_goes_beyond_the_restricted_standard_in_one_capability_a_pod() -> None:
    """The list of exceptions, counted: one capability in each bench, and the namespace that admits it."""
    base, more = manifests.read(paths.K8S), kustomized(paths.ROOT / "examples" / "kustomize" / "sys-nice")
    problems = [
        problem for problem in check.problems(more) if not problem.startswith("content_names_what_cannot_change")
    ]
    assert len(problems) == 4
    assert sum("its capabilities are not all dropped" in problem for problem in problems) == len(jobs(base)) == 3
    assert sum("does not enforce the restricted standard" in problem for problem in problems) == 1
    stripped = copy.deepcopy(more)
    for manifest in jobs(stripped):
        assert pod(manifest)["containers"][0]["securityContext"]["capabilities"].pop("add") == ["SYS_NICE"]
    labels = manifests.one(stripped, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    labels["pod-security.kubernetes.io/enforce"] = "restricted"
    assert by_name(stripped) == by_name(base)


def test_text_with_lines_stays_readable_and_words_stay_words() -> None:
    written = text.dump([{"a": "x\ny\n", "b": "yes", "c": "1", "d": "12:30", "e": 1, "f": "0o17", "g": "null"}])
    assert "a: |\n  x\n  y\n" in written
    (read,) = yaml.safe_load_all(written)
    assert read == {"a": "x\ny\n", "b": "yes", "c": "1", "d": "12:30", "e": 1, "f": "0o17", "g": "null"}


@pytest.mark.parametrize("given", [("--namespace", "mine"), ("--registry", "registry/team"), ("--variable", "A=b")])
def test_what_is_of_one_cluster_never_replaces_what_is_checked_in(given: tuple[str, str]) -> None:
    before = {path: path.read_bytes() for path in paths.K8S.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="k8s holds the set that is the same for everybody. Name a folder of yours"):
        verb.main(["cpu", *given])
    assert {path: path.read_bytes() for path in before} == before
