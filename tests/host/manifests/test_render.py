import copy
import json
import os
import shutil
import subprocess
from dataclasses import replace

import pytest
import yaml

from runner import __version__
from runner.contract.errors import InputError, Unsupported, UsageError
from runner.contract.request import Request
from runner.host import paths
from runner.host.manifests import check, plan, text
from runner.host.manifests.site import Site
from runner.host.objects import jobs as client
from runner.host.objects import names, walk
from runner.host.readers import catalog, lockfile, profiles
from runner.host.verbs import render as verb
from tests.support import manifests

IMAGES = [f"--image={stack}={manifests.IMAGE}" for stack in ("cpu", "cuda-2023", "gaudi-1.10")]


def rendered(folder, *arguments):
    assert verb.main(["--out", str(folder), *arguments]) == 0
    return manifests.read(folder)


def jobs(things, component=names.BENCH):
    wanted = {"app.kubernetes.io/component": component}.items()
    return [thing for thing in things if thing["kind"] == "Job" and wanted <= thing["metadata"]["labels"].items()]


def pod(thing):
    return thing["spec"]["template"]["spec"]


# --- what is checked in ---


def test_what_is_checked_in_is_what_catalog_and_lock_make():
    """Mend it with `python -m runner render`, and commit what that writes."""
    assert verb.main(["--check"]) == 0


def test_rendering_again_gives_the_same_bytes(tmp_path):
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
def test_drift_is_refused_and_named(tmp_path, spoil):
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


def test_a_file_of_yours_beside_them_stays(tmp_path):
    (tmp_path / "70-mine.yaml").write_text("kind: List\n")
    rendered(tmp_path)
    assert (tmp_path / "70-mine.yaml").exists()


def test_kubectl_apply_reads_the_whole_gaudi2_set_and_nothing_else():
    things = manifests.read(paths.K8S)
    assert [thing["metadata"]["labels"]["app.kubernetes.io/instance"] for thing in jobs(things)] == [
        "bench-gaudi2-8-bloomz",
        "bench-gaudi2-8-bloomz-7b1",
        "bench-gaudi2-1-bloomz-7b1",
    ]
    kinds = {thing["kind"] for thing in things}
    assert kinds == {
        *("Namespace", "ServiceAccount", "Role", "NetworkPolicy", "PersistentVolumeClaim", "ConfigMap", "Job")
    }
    assert things[0]["kind"] == "Namespace"
    assert len(jobs(things, names.PREFETCH)) == 1


@pytest.mark.parametrize("name", manifests.names())
def test_every_set_has_its_cases_as_requests_that_a_pod_can_read(name):
    row = profiles.read(catalog.read()).sets[name]
    things = manifests.read(paths.K8S / row.folder)
    data = manifests.one(things, "ConfigMap", f"config-{name}-v")["data"]
    assert sorted(data) == sorted(f"{case}.json" for case in row.cases)
    for file, content in data.items():
        request = Request.from_json(json.loads(content), file)
        (thing,) = [one for one in things if one["metadata"]["labels"].get("bloomz-bench.dev/run-id") == request.id]
        assert f"/config/{file}" in json.dumps(thing)


@pytest.mark.parametrize("name", manifests.names())
def test_every_pod_keeps_a_mesh_s_proxy_out_and_so_does_what_reads_the_volume(name):
    things = manifests.read(paths.K8S / profiles.read(catalog.read()).sets[name].folder)
    templates = [template for _, template in walk.pods(things)]
    bench = [one for one in things if one["kind"] in client.RUNS and client.component(one) == names.BENCH]
    templates += [client.to_collect(one)["spec"]["template"] for one in bench]
    assert bench and all(names.NO_MESH.items() <= one["metadata"]["labels"].items() for one in templates)


def test_what_needs_nothing_from_a_hub_gets_no_network_and_no_volume_of_weights():
    things = manifests.read(paths.K8S / "cpu")
    assert len([thing for thing in things if thing["kind"] == "NetworkPolicy"]) == 1
    assert manifests.one(things, "PersistentVolumeClaim")["metadata"]["name"] == "bench-results"
    assert all("initContainers" not in pod(thing) for thing in jobs(things))


def test_eight_devices_get_the_whole_node():
    (asked, _, one) = [pod(thing)["containers"][0]["resources"]["limits"] for thing in jobs(manifests.read(paths.K8S))]
    assert (asked["habana.ai/gaudi"], asked["hugepages-2Mi"], asked["memory"], asked["cpu"]) == (
        "8",
        "42000Mi",
        "690Gi",
        "88",
    )
    assert (one["habana.ai/gaudi"], one["hugepages-2Mi"]) == ("1", "5250Mi")


@pytest.mark.parametrize("name", manifests.names())
def test_no_autoscaler_moves_a_measurement(name):
    things = manifests.objects(name)
    templates = [one for thing in things if client.component(thing) == names.BENCH for one in client.templates(thing)]
    assert templates
    for told in [template["metadata"]["annotations"] for template in templates]:
        assert told["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
        assert told["karpenter.sh/do-not-disrupt"] == "true"
    (fetching,) = [one for one in things if client.component(one) == names.PREFETCH] or [None]
    if fetching:  # goes on where it was
        assert "karpenter.sh/do-not-disrupt" not in client.templates(fetching)[0]["metadata"]["annotations"]


def replicas(things):
    return manifests.one(things, "MPIJob")["spec"]["mpiReplicaSpecs"]


def test_an_mpijob_runs_bench_in_its_first_pod_and_lends_the_devices_of_the_others():
    things = manifests.read(paths.K8S / "multinode")
    spec = manifests.one(things, "MPIJob")["spec"]
    assert (spec["slotsPerWorker"], spec["runLauncherAsWorker"], spec["sshAuthMountPath"]) == (
        8,
        True,
        "/home/bench/.ssh",
    )
    assert (replicas(things)["Launcher"]["replicas"], replicas(things)["Worker"]["replicas"]) == (1, 1)
    first, other = (replicas(things)[role]["template"]["spec"]["containers"][0] for role in ("Launcher", "Worker"))
    assert "reach /etc/mpi/hostfile --port 2222" in first["command"][-1]
    assert first["command"][-1].endswith("--hostfile /etc/mpi/hostfile")
    assert other["command"][-1] == "exec python3 -m runner sshd --port 2222 --keys /home/bench/.ssh"
    assert {mount["name"] for mount in first["volumeMounts"]} - {mount["name"] for mount in other["volumeMounts"]} == {
        "results"
    }
    assert first["resources"] == other["resources"]
    claim = manifests.one(things, "PersistentVolumeClaim", "bench-models")
    assert (claim["metadata"]["name"], claim["spec"]["accessModes"]) == ("bench-models-shared", ["ReadWriteMany"])


def test_a_jobset_has_the_same_pods_and_its_first_writes_a_hostfile_of_their_names(tmp_path):
    things = manifests.read(paths.K8S / "multinode-jobset")
    spec, mpi = manifests.one(things, "JobSet")["spec"], replicas(manifests.read(paths.K8S / "multinode"))
    first = spec["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]
    write, _, script = first["command"][-1].partition("; ")
    hostfile = tmp_path / "hostfile"
    subprocess.run(["sh", "-c", write.replace("/tmp/hostfile", str(hostfile))], env={"JOBSET": "set-r2"}, check=True)
    assert hostfile.read_text() == "set-r2-first-0-0.set-r2 slots=8\nset-r2-other-0-0.set-r2 slots=8\n"
    assert first["env"][-1]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['jobset.sigs.k8s.io/jobset-name']"
    assert "subdomain" not in spec["network"]  # the set's own name, whatever it is
    first["command"][-1] = script
    for part, role in zip(spec["replicatedJobs"], ("Launcher", "Worker"), strict=True):
        container = part["template"]["spec"]["template"]["spec"]["containers"][0]
        command = mpi[role]["template"]["spec"]["containers"][0]["command"][-1]
        assert container["command"][-1] == command.replace("/etc/mpi/hostfile", "/tmp/hostfile")
        assert part["template"]["spec"]["completionMode"] == "Indexed"
    assert spec["successPolicy"]["targetReplicatedJobs"] == ["first"]


@pytest.mark.parametrize("name", ["multinode", "multinode-jobset"])
def test_several_nodes_say_that_they_are_experimental(name):
    folder = paths.K8S / name
    (thing,) = [one for one in manifests.read(folder) if one["kind"] in ("MPIJob", "JobSet")]
    assert thing["metadata"]["annotations"]["bloomz-bench.dev/experimental"] == "true"
    assert "# Experimental: the vendor calls" in (folder / "60-bench-gaudi-16-bloomz.yaml").read_text()


@pytest.mark.parametrize("name, kind", [("multinode", "MPIJob"), ("multinode-jobset", "JobSet")])
def test_a_queue_is_one_label_on_whatever_asks_for_devices(name, kind):
    (thing,) = [one for one in manifests.objects(name, Site(queue="accelerators")) if one["kind"] == kind]
    assert thing["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "accelerators"


def test_pods_that_log_in_to_each_other_need_a_user_known_beforehand(tmp_path):
    with pytest.raises(Unsupported, match="Leave --platform-ids out"):
        verb.main(["multinode", "--platform-ids", "--out", str(tmp_path)])


# --- versions and images ---


def test_a_new_version_has_new_names_for_all_that_cannot_change(monkeypatch):
    def immutable(things):
        return {thing["metadata"]["name"] for thing in things if thing["kind"] in ("Job", "ConfigMap")}

    before = immutable(manifests.objects("gaudi2"))
    monkeypatch.setattr(names, "__version__", "98.7.6")
    after = immutable(manifests.objects("gaudi2"))
    assert len(before) == len(after) == 5
    assert not before & after
    today = f"v{__version__.replace('.', '-')}"
    assert {name.replace("v98-7-6", today) for name in after if not name.startswith("config")} <= before


def test_the_version_stands_in_one_place():
    project = (paths.ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project
    assert __version__ not in project


def test_a_stack_without_an_image_is_told_and_named_so_that_the_failed_pull_tells_it(capsys):
    things = manifests.objects("gaudi2", image=None)
    for thing in jobs(things):
        assert pod(thing)["containers"][0]["image"] == "bloomz-bench.invalid/gaudi-1.10:run-make-images"
        assert (
            "no image of this stack stands in versions.lock"
            in thing["metadata"]["annotations"]["bloomz-bench.dev/image-problem"]
        )
    request = json.loads(manifests.one(things, "ConfigMap")["data"]["gaudi2-8-bloomz.json"])
    assert request["stack"]["image"] is None
    assert request["stack"]["packages"]["habana-torch-plugin"] == "unresolved"
    assert verb.main(["gaudi2", "--check"]) == 0
    assert capsys.readouterr().err.startswith(
        "gaudi-1.10: no image of this stack stands in versions.lock by digest. Run make images"
    )


def test_an_image_of_the_lock_is_pulled_by_digest_and_carried_by_the_request():
    tables, lock = catalog.read(), lockfile.read()
    digest = f"sha256:{'7' * 64}"
    lock = replace(lock, built={"cpu": lockfile.PushedImage("registry.example/kit/cpu", digest, "0" * 64)})
    table = profiles.read(tables)
    made = plan.make(tables, lock, table, "cpu-1", 1, {}, None)
    assert (made.image, made.draft) == (f"registry.example/kit/cpu@{digest}", None)
    assert made.request.stack.image == made.image
    mirrored = plan.make(tables, lock, table, "cpu-1", 1, {}, "mirror.example:5000/team/")
    assert mirrored.image == f"mirror.example:5000/team/cpu@{digest}"
    assert mirrored.request.id == made.request.id
    given = plan.make(tables, lock, table, "cpu-1", 1, {"cpu": manifests.IMAGE}, None)
    assert (given.image, given.request.stack.image) == (manifests.IMAGE, manifests.IMAGE)


def test_an_image_on_a_stack_with_an_open_pin_stays_a_draft_and_says_which(tmp_path, capsys):
    (first, *_) = jobs(rendered(tmp_path, "gaudi2", f"--image=gaudi-1.10={manifests.IMAGE}"))
    assert pod(first)["containers"][0]["image"] == manifests.IMAGE
    assert "gaudi-1.10: the version of habana-torch-plugin is unresolved in versions.lock" in capsys.readouterr().err


# --- a user's cluster ---


def test_a_cluster_of_yours_is_rendered_for(tmp_path):
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
    things = rendered(tmp_path, *IMAGES, *options, "gaudi")
    things = manifests.read(tmp_path / "gaudi")
    assert check.problems(things) == []
    assert {thing["metadata"]["namespace"] for thing in things} == {"team"}
    assert all(thing["kind"] != "Namespace" for thing in things)
    claims = [thing["spec"] for thing in things if thing["kind"] == "PersistentVolumeClaim"]
    assert {claim["storageClassName"] for claim in claims} == {"fast"}
    assert {tuple(claim["accessModes"]) for claim in claims} == {("ReadWriteMany",)}
    for thing in jobs(things):
        assert thing["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "accelerators"
        assert "suspend" not in thing["spec"]
        spec = pod(thing)
        assert spec["nodeSelector"] == {"node.kubernetes.io/instance-type": "dl1.24xlarge"}
        assert "nodeAffinity" not in spec["affinity"]
        assert spec["tolerations"] == [
            {"key": "habana.ai/gaudi", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"},
            {"key": "spot", "operator": "Exists"},
        ]
        assert (spec["runtimeClassName"], spec["priorityClassName"]) == ("habana", "low")
        assert spec["containers"][0]["image"] == f"mirror.example/kit/{manifests.IMAGE.rpartition('/')[2]}"
    (prefetch,) = jobs(things, names.PREFETCH)
    assert "kueue.x-k8s.io/queue-name" not in prefetch["metadata"]["labels"]
    assert pod(prefetch)["nodeSelector"] == pod(jobs(things)[0])["nodeSelector"]
    rules = manifests.one(things, "Role")["rules"]
    assert {
        "apiGroups": ["kueue.x-k8s.io"],
        "resources": ["workloads", "localqueues"],
        "verbs": ["get", "list"],
    } in rules


@pytest.mark.parametrize("name, kind", [("gaudi", "Job"), ("multinode", "MPIJob"), ("multinode-jobset", "JobSet")])
def test_what_a_fabric_takes_comes_to_every_bench_pod_and_to_no_prefetch(name, kind):
    site = Site(resources={"vpc.amazonaws.com/efa": "4"}, variables={"HCCL_SOCKET_IFNAME": "eth0"})
    things = manifests.objects(name, site)
    assert check.problems(things) == []
    for thing in things:
        if thing["kind"] not in ("Job", "MPIJob", "JobSet"):
            continue
        bench = thing["kind"] == kind and thing["metadata"]["labels"]["app.kubernetes.io/component"] == names.BENCH
        for container in [spec["containers"][0] for spec in client.pod_specs(thing)]:
            asked = container["resources"]
            assert asked["limits"] == asked["requests"]
            assert asked["limits"].get("vpc.amazonaws.com/efa") == ("4" if bench else None)
            assert ({"name": "HCCL_SOCKET_IFNAME", "value": "eth0"} in container["env"]) == bench


def test_nodes_are_labelled_by_what_is_plugged_into_them():
    (rule,) = yaml.safe_load_all((paths.K8S / "nfd" / "10-accelerators.yaml").read_text())
    told = {one["name"]: one for one in rule["spec"]["rules"]}
    assert told.keys() == {"gaudi2", "gaudi"}
    for name, one in told.items():
        assert one["labels"] == {"bloomz-bench.dev/accelerator": name}
    ids = {name: set(one["matchFeatures"][0]["matchExpressions"]["device"]["value"]) for name, one in told.items()}
    assert ids["gaudi2"] == {"1020"} and not ids["gaudi2"] & ids["gaudi"]
    for things in (manifests.read(paths.K8S), manifests.read(paths.K8S / "gaudi")):
        terms = pod(jobs(things)[0])["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (wanted,) = terms["nodeSelectorTerms"][0]["matchExpressions"]
        assert any({wanted["key"]: value} == one["labels"] for value in wanted["values"] for one in told.values())


def test_a_platform_that_chooses_users_is_left_the_choice(tmp_path):
    things = rendered(tmp_path, "gaudi2", "--platform-ids")
    assert check.problems(things) == []
    for thing in jobs(things):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod(thing)["securityContext"])


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
def test_a_mistake_is_one_sentence(tmp_path, arguments, told):
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
def test_a_secret_comes_into_no_manifest_and_into_no_message(tmp_path, capsys, flag, given):
    with pytest.raises(UsageError) as caught:
        verb.main(["cpu", "--out", str(tmp_path / "out"), flag, given])
    told = str(caught.value) + capsys.readouterr().err
    assert not any(secret in told for secret in ("short", "aaaa", "bbbb", "hunter2"))
    assert flag == "--registry" or "looks like a secret" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["fifo", "file is a fifo", "link outside"])
def test_a_place_that_is_no_folder_of_files_is_one_sentence(tmp_path, kind):
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


def test_what_an_api_server_would_refuse_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="The manifests would be refused: "):
        verb.main(["--out", str(tmp_path / "out"), "--namespace", "Team_A"])
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written: .* Name another folder with --out"):
        verb.main(["--out", str(tmp_path / "file")])


# --- kustomize ---

KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on the path")


def kustomized(folder):
    done = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, encoding="utf-8", check=True)
    return list(yaml.safe_load_all(done.stdout))


def by_name(things):
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in things}


@needs_kubectl
@pytest.mark.parametrize("name", manifests.names())
def test_every_set_is_a_base_for_kustomize_and_still_a_folder_for_apply(name):
    folder = paths.K8S / profiles.read(catalog.read()).sets[name].folder
    assert by_name(kustomized(folder)) == by_name(manifests.read(folder))


@needs_kubectl
def test_the_example_of_an_overlay_changes_what_it_says_and_breaks_no_rule():
    base, yours = manifests.read(paths.K8S), kustomized(paths.ROOT / "examples" / "kustomize" / "yours")
    assert by_name(base).keys() == by_name(yours).keys()
    assert check.problems(yours, without=("content_names_what_cannot_change", "images_are_pinned")) == []
    for thing in jobs(yours):
        assert pod(thing)["nodeSelector"] == {"node.kubernetes.io/instance-type": "hls-gaudi2"}
        assert pod(thing)["tolerations"][-1]["key"] == "team"
        assert thing["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "accelerators"
        if "bloomz-bench.invalid" in json.dumps(base):
            assert pod(thing)["containers"][0]["image"].startswith("registry.example/mirror/gaudi-1.10:")
    assert {thing["spec"]["storageClassName"] for thing in yours if thing["kind"] == "PersistentVolumeClaim"} == {
        "fast"
    }


@needs_kubectl
def test_sys_nice_is_opt_in_and_goes_beyond_the_restricted_standard_in_one_capability_a_pod():
    """The list of exceptions, counted: one capability in each bench, and the namespace that admits it."""
    base, more = manifests.read(paths.K8S), kustomized(paths.ROOT / "examples" / "kustomize" / "sys-nice")
    found = [problem for problem in check.problems(more) if not problem.startswith("content_names_what_cannot_change")]
    assert len(found) == 4
    assert sum("its capabilities are not all dropped" in problem for problem in found) == len(jobs(base)) == 3
    assert sum("does not enforce the restricted standard" in problem for problem in found) == 1
    stripped = copy.deepcopy(more)
    for thing in jobs(stripped):
        assert pod(thing)["containers"][0]["securityContext"]["capabilities"].pop("add") == ["SYS_NICE"]
    labels = manifests.one(stripped, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    labels["pod-security.kubernetes.io/enforce"] = "restricted"
    assert by_name(stripped) == by_name(base)


def test_text_with_lines_stays_readable_and_words_stay_words():
    written = text.dump([{"a": "x\ny\n", "b": "yes", "c": "1", "d": "12:30", "e": 1, "f": "0o17", "g": "null"}])
    assert "a: |\n  x\n  y\n" in written
    (read,) = yaml.safe_load_all(written)
    assert read == {"a": "x\ny\n", "b": "yes", "c": "1", "d": "12:30", "e": 1, "f": "0o17", "g": "null"}


@pytest.mark.parametrize("given", [("--namespace", "mine"), ("--registry", "registry/team"), ("--variable", "A=b")])
def test_what_is_of_one_cluster_never_replaces_what_is_checked_in(given):
    before = {path: path.read_bytes() for path in paths.K8S.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="k8s holds the set that is the same for everybody. Name a folder of yours"):
        verb.main(["cpu", *given])
    assert {path: path.read_bytes() for path in before} == before
