"""The profile restricted of the Pod Security Standards, control by control, and this kit's stricter controls.

Source: kubernetes.io/docs/concepts/security/pod-security-standards; as code, Kubernetes 1.36
staging/src/k8s.io/pod-security-admission/policy, a file for each control.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.contract.records import JsonObject
from runner.host.objects import names
from runner.host.objects.walk import containers, pods, title

ALLOWED_SELINUX_TYPES = (None, "container_t", "container_init_t", "container_kvm_t")
ALLOWED_VOLUMES = {
    *(
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
}


def pods_are_restricted(objects: Sequence[JsonObject]) -> Iterator[str]:
    """Pods keep the profile restricted; the kit's controls beyond it are a read-only root, no token and no service variables."""
    for where, template in pods(objects):
        yield from (f"{where}: {problem}" for problem in _pod_beyond_restricted(template["spec"]))
    for where, spec, container in containers(objects):
        yield from (f"{where}: {problem}" for problem in _container_beyond_restricted(spec, container))
    for manifest in objects:
        if manifest["kind"] == "ServiceAccount" and manifest.get("automountServiceAccountToken") is not False:
            yield f"{title(manifest)} mounts a token"
        if manifest["kind"] == "Namespace":
            labels = manifest["metadata"]["labels"]
            if labels.get(names.POD_SECURITY_ENFORCE) != "restricted":
                yield f"{title(manifest)} does not enforce the restricted standard"


def _pod_beyond_restricted(spec: JsonObject) -> Iterator[str]:
    context = spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{key} is set"
    for volume in spec.get("volumes", ()):
        kind = next(iter(set(volume) - {"name"}), None)
        if kind not in ALLOWED_VOLUMES:
            yield f"the volume {volume['name']} is of the kind {kind}"
    if context.get("sysctls"):
        yield "sysctls are set"
    if context.get("runAsUser") == 0:
        yield "it runs as root"
    if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
        yield "it gets a token or the addresses of services"


def _container_beyond_restricted(spec: JsonObject, container: JsonObject) -> Iterator[str]:
    pod_context, context = spec.get("securityContext", {}), container.get("securityContext", {})
    effective = {**pod_context, **context}
    capabilities = context.get("capabilities", {})
    if context.get("privileged"):
        yield "it is privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "privileges may be escalated"
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield "its capabilities are not all dropped"
    if effective.get("runAsNonRoot") is not True or effective.get("runAsUser") == 0:
        yield "it may run as root"
    if effective.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "it has no seccomp profile"
    if effective.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield "AppArmor is off"
    if context.get("procMount", "Default") != "Default":
        yield "/proc is unmasked"
    options = effective.get("seLinuxOptions", {})
    if options.get("user") or options.get("role") or options.get("type") not in ALLOWED_SELINUX_TYPES:
        yield "SELinux options are set"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "its root can be written"


RULES = (pods_are_restricted,)
