"""Every rule for manifests, with what must trip it. Nothing else may: an example that trips two rules proves neither."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from runner.contract.errors import InputError
from runner.contract.records import JsonObject
from runner.host.manifests import check
from runner.host.objects import names
from tests.support import manifests

GAUDI2 = manifests.objects("gaudi2")

# What spoils the objects of a set.
Break = Callable[[list[JsonObject]], object]


def test_what_is_rendered_trips_no_rule() -> None:
    for name in manifests.names():
        assert check.problems(manifests.objects(name)) == [], name
        assert check.problems(manifests.objects(name, image=None)) == [], name


def bench(objects: list[JsonObject]) -> JsonObject:
    return manifests.one(objects, "Job", "bench-gaudi2-8-bloomz-v")


def spec(objects: list[JsonObject]) -> JsonObject:
    return bench(objects)["spec"]["template"]["spec"]


def container(objects: list[JsonObject]) -> JsonObject:
    return spec(objects)["containers"][0]


def waiting(objects: list[JsonObject]) -> JsonObject:
    return spec(objects)["initContainers"][0]


def security(objects: list[JsonObject]) -> JsonObject:
    return container(objects)["securityContext"]


def limits(objects: list[JsonObject], **changes: Any) -> None:
    for part in container(objects)["resources"].values():
        part.update({key.replace("_", "-"): value for key, value in changes.items()})


def rule(objects: list[JsonObject], kind: str, action: str) -> JsonObject:
    rules = bench(objects)["spec"]["podFailurePolicy"]["rules"]
    (matching,) = [rule for rule in rules if rule["action"] == action]
    return matching[kind]


def every_policy(objects: list[JsonObject], **changes: Any) -> None:
    for manifest in objects:
        if manifest["kind"] == "NetworkPolicy":
            manifest["spec"].update(changes)


def rename(objects: list[JsonObject], kind: str, name: str) -> None:
    manifests.one(objects, kind)["metadata"]["name"] = name


def another_volume(objects: list[JsonObject], **source: Any) -> None:
    spec(objects)["volumes"].append({"name": "more", **source})
    container(objects)["volumeMounts"].append({"name": "more", "mountPath": "/more"})


def remove_variable(objects: list[JsonObject], name: str) -> None:
    container(objects)["env"] = [variable for variable in container(objects)["env"] if variable["name"] != name]


def add_variable(objects: list[JsonObject], **variable: Any) -> None:
    container(objects)["env"].append(variable)


def select(objects: list[JsonObject], labels: dict[str, str]) -> None:
    manifests.one(objects, "NetworkPolicy", "bench-prefetch")["spec"]["podSelector"] = {"matchLabels": labels}


def enforce(objects: list[JsonObject], level: str) -> None:
    manifests.one(objects, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = level


def role_rule(objects: list[JsonObject], **changes: Any) -> None:
    manifests.one(objects, "Role")["rules"][0].update(changes)


def tag_another_base(objects: list[JsonObject]) -> None:
    bench(objects)["spec"]["template"]["metadata"]["annotations"][names.TAGGED_BASES] = "registry.example/base:1"
    container(objects).update(image="registry.example/base:2")


def let_all_write(objects: list[JsonObject], volume: str) -> None:
    for part in (waiting(objects), container(objects)):
        (mount,) = [mount for mount in part["volumeMounts"] if mount["name"] == volume]
        del mount["readOnly"]


def hold_a_device(objects: list[JsonObject]) -> None:
    prefetch = manifests.one(objects, "Job", "prefetch-")["spec"]["template"]["spec"]["containers"][0]
    for part in prefetch["resources"].values():
        part["habana.ai/gaudi"] = "1"


PSS, KIT = "pods_are_restricted", "benches_have_one_attempt"

# Rule, how to break it, words of its sentence.
BROKEN: list[tuple[str, Break, str]] = [
    ("names_are_valid", lambda o: bench(o)["metadata"].update(name="bench.gaudi2"), "a label of at most 45"),
    ("names_are_valid", lambda o: bench(o)["metadata"].update(name="b" * 46), "a label of at most 45"),
    ("names_are_valid", lambda o: bench(o)["metadata"].update(name="8-bench"), "starts with a letter"),
    ("names_are_valid", lambda o: rename(o, "Role", "Bench_Submitter"), "Role Bench_Submitter is no valid name"),
    ("names_are_valid", lambda o: [manifest["metadata"].update(namespace="Team_A") for manifest in o[1:]] + [o.pop(0)], "in Team_A"),
    ("names_are_valid", lambda o: container(o).update(name="the.bench"), "container the.bench is no valid name"),
    ("objects_are_named_once", lambda o: o.append(copy.deepcopy(manifests.one(o, "Role"))), "stands twice"),
    ("labels_are_valid", lambda o: bench(o)["metadata"]["labels"].update(sha="0" * 64), "the label sha="),
    ("labels_are_valid", lambda o: bench(o)["metadata"]["labels"].update({"a b": "c"}), "the label a b=c"),
    ("labels_are_valid", lambda o: bench(o)["metadata"]["labels"].update(nodes=1), "the label nodes=1"),
    ("labels_are_valid", lambda o: bench(o)["metadata"]["annotations"].update(n=1), "an annotation is not valid"),
    ("labels_are_valid", lambda o: bench(o)["metadata"]["annotations"].update(n="x" * 262145), "are too large"),
    ("jobs_are_valid", lambda o: spec(o).update(restartPolicy="OnFailure"), "needs restartPolicy Never"),
    ("jobs_are_valid", lambda o: bench(o)["spec"].update(podReplacementPolicy="TerminatingOrFailed"), "podReplacementPolicy"),
    ("jobs_are_valid", lambda o: rule(o, "onExitCodes", "FailJob").update(values=[0, 137, 130, 143]), "must be sorted"),
    ("jobs_are_valid", lambda o: rule(o, "onExitCodes", "FailJob").update(operator="In", values=[0, 2]), "never 0 in In"),
    ("resources_are_whole", lambda o: limits(o, **{"hugepages-2Mi": "42001Mi"}), "no multiple of the page"),
    ("resources_are_whole", lambda o: limits(o, cpu="88500m"), "cpu must be a whole number"),
    ("resources_are_whole", lambda o: limits(o, **{"habana.ai/gaudi": "0.5"}), "habana.ai/gaudi must be a whole number"),
    ("volumes_fit_together", lambda o: spec(o)["volumes"].pop(), "the volume tmp is not there"),
    ("volumes_fit_together", lambda o: spec(o)["volumes"].append({"name": "more", "emptyDir": {"sizeLimit": "1Gi"}}), "is not mounted"),
    ("volumes_fit_together", lambda o: container(o)["volumeMounts"][1].update(mountPath="/config"), "two mounts at one path"),
    ("volumes_fit_together", lambda o: rename(o, "ServiceAccount", "other"), "the account bench-run is not there"),
    ("volumes_fit_together", lambda o: o.remove(manifests.one(o, "PersistentVolumeClaim", "bench-results")), "bench-results"),
    ("volumes_fit_together", lambda o: o.remove(manifests.one(o, "ConfigMap")), "the ConfigMap config-gaudi2"),
    ("scratch_fits", lambda o: spec(o)["volumes"][-1].update(emptyDir={"sizeLimit": "20Gi"}), "fills the ephemeral-storage"),
    ("scratch_fits", lambda o: spec(o)["volumes"][-2]["emptyDir"].update(sizeLimit="690Gi"), "fills the memory of 690Gi"),
    ("scratch_fits", lambda o: spec(o)["volumes"][-1].update(emptyDir={}), "tmp has no sizeLimit"),
    ("selectors_find_their_pods", lambda o: select(o, {"app": "x"}), "selects no pod"),
    ("selectors_find_their_pods", lambda o: bench(o)["metadata"]["labels"].pop("bloomz-bench.dev/model"), "lacks its pods' label"),
    ("one_namespace", lambda o: bench(o)["metadata"].update(namespace="default"), "bloomz-bench, default"),
    ("one_namespace", lambda o: bench(o)["metadata"].pop("namespace"), "None"),
    (KIT, lambda o: bench(o)["spec"].update(backoffLimit=6), "backoffLimit must be 0"),
    (KIT, lambda o: bench(o)["spec"].pop("ttlSecondsAfterFinished"), "must be set"),
    (KIT, lambda o: bench(o)["spec"].pop("activeDeadlineSeconds"), "must be set"),
    (KIT, lambda o: bench(o)["spec"]["podFailurePolicy"]["rules"].pop(0), "that the cluster took away would count"),
    (KIT, lambda o: rule(o, "onExitCodes", "FailJob").update(values=[0, 137, 143]), "stopped by SIGTERM (130"),
    (KIT, lambda o: rule(o, "onExitCodes", "FailJob").update(operator="In", values=[1, 143]), "must not fail the Job"),
    ("pods_are_guaranteed", lambda o: container(o)["resources"]["requests"].update(cpu="8"), "requests differ from limits"),
    ("pods_are_guaranteed", lambda o: waiting(o).pop("resources"), "container wait-for-weights: cpu is not limited"),
    ("images_are_pinned", lambda o: container(o).update(image="registry.example/bench:latest"), "is not named by digest"),
    ("images_are_pinned", lambda o: tag_another_base(o), "registry.example/base:2 is not named by digest"),
    ("images_are_pinned", lambda o: container(o).update(imagePullPolicy="Always"), "pulled IfNotPresent"),
    ("content_names_what_cannot_change", lambda o: manifests.one(o, "ConfigMap").update(immutable=False), "must be immutable"),
    ("content_names_what_cannot_change", lambda o: manifests.one(o, "ConfigMap")["data"].update(more="x"), "named after its content"),
    ("content_names_what_cannot_change", lambda o: bench(o)["metadata"]["annotations"].pop("bloomz-bench.dev/spec-sha256"), "spec-sha256"),
    ("measuring_is_alone_and_offline", lambda o: every_policy(o, policyTypes=["Egress"]), "no policy denies"),
    ("measuring_is_alone_and_offline", lambda o: every_policy(o, egress=[{}]), "a policy lets it out"),
    ("measuring_is_alone_and_offline", lambda o: every_policy(o, egress=[{"ports": [{"port": 443}]}]), "a policy lets it out"),
    ("measuring_is_alone_and_offline", lambda o: remove_variable(o, "HF_HUB_OFFLINE"), "that keep it offline are not set"),
    ("measuring_is_alone_and_offline", lambda o: hold_a_device(o), "it holds habana.ai/gaudi while it fetches"),
    ("software_is_only_read", lambda o: let_all_write(o, "models"), "container bench: it may change /models"),
    ("measuring_is_alone_and_offline", lambda o: spec(o)["affinity"].pop("podAntiAffinity"), "another bench may share its node"),
    ("variables_are_nobody_elses", lambda o: add_variable(o, name="HABANA_VISIBLE_DEVICES", value="all"), "device plugin's to set"),
    ("variables_are_nobody_elses", lambda o: add_variable(o, name="NVIDIA_VISIBLE_DEVICES", value="all"), "device plugin's to set"),
    ("variables_are_nobody_elses", lambda o: add_variable(o, name="HF_TOKEN", value="hf_x"), "HF_TOKEN would hold a secret"),
    ("variables_are_nobody_elses", lambda o: add_variable(o, name="X", valueFrom={"secretKeyRef": {}}), "X would hold a secret"),
    ("no_privileged_port", lambda o: container(o).update(ports=[{"containerPort": 22}]), "port 22 is privileged"),
    ("no_privileged_port", lambda o: container(o).update(ports=[{"containerPort": 2222, "hostPort": 2222}]), "or the host's"),
    ("roles_are_least", lambda o: role_rule(o, verbs=["*"]), "has a wildcard"),
    ("roles_are_least", lambda o: role_rule(o, resources=["pods/exec"]), "reaches pods/exec"),
    ("roles_are_least", lambda o: role_rule(o, resources=["secrets"]), "reaches secrets"),
    ("roles_are_least", lambda o: role_rule(o, verbs=["get", "patch"]), "may get, patch"),
    ("roles_are_least", lambda o: manifests.one(o, "Role").update(kind="ClusterRole"), "is not for this kit to apply"),
    # The controls of the restricted Pod Security Standard, in the order of its page.
    (PSS, lambda o: spec(o).update(hostNetwork=True), "hostNetwork is set"),
    (PSS, lambda o: spec(o).update(hostPID=True), "hostPID is set"),
    (PSS, lambda o: spec(o).update(hostIPC=True), "hostIPC is set"),
    (PSS, lambda o: security(o).update(privileged=True), "it is privileged"),
    (PSS, lambda o: security(o)["capabilities"].update(add=["SYS_NICE"]), "capabilities are not all dropped"),
    (PSS, lambda o: security(o)["capabilities"].update(drop=["NET_RAW"]), "capabilities are not all dropped"),
    (PSS, lambda o: another_volume(o, hostPath={"path": "/dev"}), "of the kind hostPath"),
    (PSS, lambda o: security(o).update(appArmorProfile={"type": "Unconfined"}), "AppArmor is off"),
    (PSS, lambda o: security(o).update(seLinuxOptions={"type": "spc_t"}), "SELinux options are set"),
    (PSS, lambda o: security(o).update(seLinuxOptions={"role": "sysadm_r"}), "SELinux options are set"),
    (PSS, lambda o: security(o).update(procMount="Unmasked"), "/proc is unmasked"),
    (PSS, lambda o: security(o).update(seccompProfile={"type": "Unconfined"}), "no seccomp profile"),
    (PSS, lambda o: spec(o)["securityContext"].pop("seccompProfile"), "no seccomp profile"),
    (PSS, lambda o: spec(o)["securityContext"].update(sysctls=[{"name": "kernel.shm_rmid_forced", "value": "0"}]), "sysctls are set"),
    (PSS, lambda o: security(o).pop("allowPrivilegeEscalation"), "privileges may be escalated"),
    (PSS, lambda o: spec(o)["securityContext"].pop("runAsNonRoot"), "it may run as root"),
    (PSS, lambda o: spec(o)["securityContext"].update(runAsUser=0), "it runs as root"),
    (PSS, lambda o: waiting(o)["securityContext"].update(runAsUser=0), "container wait-for-weights: it may run as root"),
    # The controls of this kit.
    (PSS, lambda o: security(o).update(readOnlyRootFilesystem=False), "its root can be written"),
    (PSS, lambda o: spec(o).pop("automountServiceAccountToken"), "gets a token"),
    (PSS, lambda o: spec(o).update(enableServiceLinks=True), "the addresses of services"),
    (PSS, lambda o: manifests.one(o, "ServiceAccount").pop("automountServiceAccountToken"), "mounts a token"),
    (PSS, lambda o: enforce(o, "baseline"), "does not enforce"),
]  # fmt: skip


@pytest.mark.parametrize("name, broken, said", BROKEN, ids=[f"{number}-{row[0]}" for number, row in enumerate(BROKEN)])
def test_a_broken_promise_trips_its_rule_and_no_other(name: str, broken: Break, said: str) -> None:
    objects = copy.deepcopy(GAUDI2)
    broken(objects)
    # The seal breaks with any change of what it seals.
    if name != "content_names_what_cannot_change":
        objects = [names.seal(manifest) if manifest["kind"] == "Job" else manifest for manifest in objects]
    problems = check.problems(objects)
    assert any(said in problem for problem in problems), problems
    assert {problem.partition(":")[0] for problem in problems} == {name}


def mpijob(objects: list[JsonObject]) -> JsonObject:
    return manifests.one(objects, "MPIJob")["spec"]


def jobset(objects: list[JsonObject]) -> JsonObject:
    return manifests.one(objects, "JobSet")["spec"]


MULTINODE: list[tuple[str, str, Break, str]] = [
    ("multinode", KIT, lambda o: mpijob(o)["runPolicy"].pop("cleanPodPolicy"), "keep their devices for ever"),
    ("multinode", KIT, lambda o: mpijob(o)["runPolicy"].update(backoffLimit=6), "a launcher is started again"),
    ("multinode", KIT, lambda o: mpijob(o)["mpiReplicaSpecs"]["Worker"].pop("restartPolicy"), "what failed is started again"),
    ("multinode", KIT, lambda o: mpijob(o)["runPolicy"].pop("ttlSecondsAfterFinished"), "must be set"),
    ("multinode", PSS, lambda o: mpijob(o)["mpiReplicaSpecs"]["Worker"]["template"]["spec"].update(hostIPC=True), "hostIPC"),
    ("multinode-jobset", KIT, lambda o: jobset(o)["failurePolicy"].update(maxRestarts=1), "maxRestarts must be 0"),
    ("multinode-jobset", KIT, lambda o: jobset(o)["replicatedJobs"][1]["template"]["spec"].update(backoffLimit=1), "one attempt"),
    (
        "multinode-jobset",
        "pods_are_guaranteed",
        lambda o: jobset(o)["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0].pop("resources"),
        "cpu is not limited",
    ),
]  # fmt: skip


@pytest.mark.parametrize("name, rule, broken, said", MULTINODE)
def test_several_nodes_are_under_the_same_rules(name: str, rule: str, broken: Break, said: str) -> None:
    objects = manifests.objects(name)
    broken(objects)
    objects = [names.seal(manifest) if manifest["kind"] in ("MPIJob", "JobSet") else manifest for manifest in objects]
    problems = check.problems(objects)
    assert any(said in problem for problem in problems), problems
    assert {problem.partition(":")[0] for problem in problems} == {rule}


def test_every_rule_has_an_example_that_trips_it() -> None:
    assert {name for name, _, _ in BROKEN} == {rule.__name__ for rule in check.RULES}


def test_a_policy_that_is_not_there_denies_nothing() -> None:
    objects = [manifest for manifest in GAUDI2 if manifest["kind"] != "NetworkPolicy"]
    assert {problem.partition(":")[0] for problem in check.problems(objects)} == {"measuring_is_alone_and_offline"}


def test_no_anti_affinity_is_to_pods_that_are_not_there() -> None:
    objects = copy.deepcopy(GAUDI2)
    (rule,) = spec(objects)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    rule["labelSelector"] = {"matchLabels": {"app": "x"}}
    problems = check.problems(objects)
    assert any("the anti-affinity is to no pod" in problem for problem in problems)
    assert any("another bench may share its node" in problem for problem in problems)


def test_the_first_problem_is_told_to_the_user() -> None:
    objects = copy.deepcopy(GAUDI2)
    bench(objects)["metadata"].update(name="bench.gaudi2", namespace="other")
    message = (
        r"would be refused: names_are_valid: Job bench\.gaudi2 must be a label of .* \(1 more\)\. Mend runner/catalog"
    )
    with pytest.raises(InputError, match=message):
        check.refuse(objects)
