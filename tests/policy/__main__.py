"""Run checkov on every rendered set, then on a spoilt one: ``python -m tests.policy CHECKOV``.

Every set is rendered as if all images were built, and as if none was, so that its pods install their stack.
One policy is left out: CKV_K8S_15 wants images pulled Always, which pinned digests make pointless and a closed network impossible.
Another, CKV_K8S_43, wants digests; it is left out for pods whose annotation names a base by tag.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from runner.contract.records import JsonObject
from runner.host.manifests import text
from runner.host.objects import names, walk
from tests.support import manifests

LEFT_OUT = "CKV_K8S_15"
BY_DIGEST = "CKV_K8S_43"

# what is spoilt in one Job, and the policy that must notice
SPOILT = {
    "CKV_K8S_16": lambda container, _: container["securityContext"].update(privileged=True),
    "CKV_K8S_20": lambda container, _: container["securityContext"].update(allowPrivilegeEscalation=True),
    "CKV_K8S_22": lambda container, _: container["securityContext"].update(readOnlyRootFilesystem=False),
    "CKV_K8S_18": lambda _, spec: spec.update(hostIPC=True),
    "CKV_K8S_38": lambda _, spec: spec.update(automountServiceAccountToken=True),
    "CKV_K8S_43": lambda container, _: container.update(image="registry.example/bench:latest"),
}


def main(checkov: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        tagged = set()
        for name in manifests.names():
            _write(Path(folder, name), manifests.objects(name))
            installed = manifests.objects(name, image=None)
            _write(Path(folder, f"{name}-installed"), installed)
            tagged |= {names.name_of(manifest) for manifest in _known(installed) if _has_a_tagged_base(manifest)}
        passed, failed = _run(checkov, Path(folder))
    failed = [check for check in failed if check["check_id"] != BY_DIGEST or _run_of(check) not in tagged]
    for check in failed:
        print(f"{check['check_id']} {check['check_name']}: {check['resource']}", file=sys.stderr)
    noticed = _noticed(checkov)
    print(f"policies: {passed} passed, {len(failed)} failed; of {len(SPOILT)} spoilt Jobs {len(noticed)} were noticed")
    return 1 if failed or noticed != set(SPOILT) or not passed else 0


def _noticed(checkov: str) -> set[str]:
    """Return the policies that fail on the Job that is spoilt for them."""
    spoilt = []
    for policy, spoil in SPOILT.items():
        job = manifests.one(manifests.objects("cpu"), "Job", "bench-cpu-1-v")
        spec = job["spec"]["template"]["spec"]
        spoil(spec["containers"][0], spec)
        job["metadata"]["name"] = _name(policy)
        spoilt.append(job)
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), spoilt)
        failed = _run(checkov, Path(folder))[1]
    failures = {(_run_of(check), check["check_id"]) for check in failed}
    return {policy for policy in SPOILT if (_name(policy), policy) in failures}


def _has_a_tagged_base(manifest: JsonObject) -> bool:
    return any(names.tagged_bases(template) for template in walk.templates(manifest))


def _run_of(check: JsonObject) -> str:
    """Return the name of the object that a policy was applied to."""
    name: str = check["resource"].rpartition(".")[2]
    return name


def _name(policy: str) -> str:
    return policy.lower().replace("_", "-")


def _write(folder: Path, objects: list[JsonObject]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "objects.yaml").write_text(text.dump(_known(objects)), encoding="utf-8")


def _known(objects: list[JsonObject]) -> list[JsonObject]:
    """Return objects of kinds that the linter knows; for the others Jobs with their pods, as their controllers make them."""
    others = [manifest for manifest in objects if manifest["kind"] in ("MPIJob", "JobSet")]
    jobs = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"job-{number}", "namespace": "bloomz-bench"},
            "spec": {"template": template},
        }
        for number, (_, template) in enumerate(walk.pods(others))
    ]
    return [*(manifest for manifest in objects if manifest not in others), *jobs]


def _run(checkov: str, folder: Path) -> tuple[int, list[JsonObject]]:
    """Return how many policies passed, and the failed ones."""
    options = [
        "--framework",
        "kubernetes",
        "--skip-download",
        "--skip-check",
        LEFT_OUT,
        "--output",
        "json",
        "--compact",
    ]
    command = [checkov, "--directory", str(folder), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", timeout=300, check=False)
    report = json.loads(done.stdout)
    return report["summary"]["passed"], report["results"]["failed_checks"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
