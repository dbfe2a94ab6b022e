"""Say what an API server answered, or that it did not answer: a status and a message in, a sentence and a next step out. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from runner.host.diagnosis.problem import MessageRow, Problem, quoted

MPI_OPERATOR = "https://raw.githubusercontent.com/kubeflow/mpi-operator/v0.8.2/deploy/v2beta1/mpi-operator.yaml"
JOBSET = "https://github.com/kubernetes-sigs/jobset/releases/download/v0.11.1/manifests.yaml"
# The message of a 404 where the API server does not know the kind. For a kind that it knows, the 404 names the object.
UNKNOWN_KIND = ("could not find the requested resource", "404 page not found")


def refused(
    status: int,
    message: str,
    doing: str,
    namespace: str,
    retry_after_s: float | None = None,
    kubectl_flags: Sequence[str] = (),
) -> Problem:
    """Return the ``Problem`` of an answer with an HTTP status that is an error.

    ``doing`` says what was asked, such as "create the Job x". ``kubectl_flags`` are the flags of kubectl that lead to the cluster.
    """
    shown, kubectl = quoted(message), shlex.join(["kubectl", *kubectl_flags, "-n", namespace])
    # Admission answers with each of these statuses, whatever the rights of the user.
    if status in (400, 403, 422):
        for row in _ADMISSION:
            if re.search(row.pattern, message):
                return row.problem({"doing": doing, "namespace": namespace, "shown": shown, "kubectl": kubectl})
    if status == 401:
        return Problem(
            "401",
            f"Asked to {doing}, the API server does not accept the credentials of this kubeconfig (401){_why(message)}.",
            "Log in again, then check with `kubectl auth whoami`.",
        )
    if status == 403:
        return Problem(
            "403",
            f"These credentials may not {doing} in {namespace} (403): {shown}.",
            "Ask for the Role in k8s/11-rbac-submitter.yaml to be bound to you.",
        )
    if status == 404:
        return _not_found(message, doing, kubectl, shown)
    if status == 409:
        return Problem(
            "409", f"Asked to {doing}, the API server met a conflict (409): {shown}.", "Run the same command again."
        )
    if status == 410:
        return Problem(
            "410",
            f"Asked to {doing}, the API server has forgotten the state to go on from (410).",
            "Following lists anew by itself; if it stays, run the same command again.",
        )
    if status == 422 or status == 400:
        return _invalid(doing, shown)
    if 300 <= status <= 399:
        return Problem(
            "redirect",
            f"Asked to {doing}, the server sends on to another place ({status}), as a login page or a proxy does and no API server.",
            "Check the kubeconfig's server, and whether a proxy stands between: `kubectl cluster-info`.",
        )
    if status == 429:
        wait = f", asks for {retry_after_s} s" if retry_after_s else ""
        return Problem(
            "429",
            f"Asked to {doing}, the API server is too busy (429{wait}), for as long as was tried.",
            "Run the same command later; what runs in the cluster goes on.",
        )
    return Problem(
        f"{status}",
        f"Asked to {doing}, the API server failed ({status}), for as long as was tried: {shown}.",
        "Run the same command later; what runs in the cluster goes on.",
    )


def _why(message: str) -> str:
    """Return why the client got no new credentials, where the message says so. The message of every API server is "Unauthorized"."""
    return "" if message in ("", "Unauthorized") else f": {quoted(message, 900)}"


_ADMISSION = (
    MessageRow(
        "403-quota",
        r"exceeded quota: |failed quota: ",
        "Asked to {doing}, the API server says that a quota of the namespace {namespace} stands against it: {shown}.",
        "End what uses it, or ask for more: `{kubectl} describe resourcequota`.",
    ),
    MessageRow(
        "403-webhook",
        r"admission webhook .+ denied the request|ValidatingAdmissionPolicy .+ denied request",
        "Asked to {doing}, a rule of the cluster's own refuses it: {shown}.",
        "Its owner knows the rule; `kubectl get validatingwebhookconfigurations,validatingadmissionpolicies` lists them.",
    ),
    MessageRow(
        "403-terminating",
        r"because it is being terminated",
        "Asked to {doing}, the API server says that the namespace {namespace} is being deleted.",
        "Wait until `kubectl get namespace {namespace}` finds nothing, create it again, or name another with --namespace.",
    ),
)


def _not_found(message: str, doing: str, kubectl: str, shown: str) -> Problem:
    missing = re.search(r'namespaces "([^"]+)" not found', message)
    if missing:
        return Problem(
            "404-namespace",
            f"The namespace {missing.group(1)} does not exist.",
            "Create it and what belongs to it: `kubectl apply -f k8s/00-namespace.yaml`, or name another with --namespace.",
        )
    if any(words in message for words in UNKNOWN_KIND):
        if "MPIJob" in doing:
            return Problem(
                "404-mpi",
                "This cluster does not know MPIJob (v2beta1), which more than one node needs.",
                f"Install its operator: `kubectl apply --server-side -f {MPI_OPERATOR}`.",
            )
        if "JobSet" in doing:
            return Problem(
                "404-jobset",
                "This cluster does not know JobSet (v1alpha2), which these manifests for several nodes need.",
                f"Install its controller: `kubectl apply --server-side -f {JOBSET}`; or take k8s/multinode, which needs MPIJob.",
            )
        return Problem(
            "404-kind",
            f"Asked to {doing}, the API server does not know the kind (404).",
            "Install what serves it, or use manifests without it.",
        )
    return Problem(
        "404",
        f"Asked to {doing}, the API server did not find something (404): {shown}.",
        f"Look what there is: `{kubectl} get jobs,pods,pvc`.",
    )


def _invalid(doing: str, shown: str) -> Problem:
    if "field is immutable" in shown:
        return Problem(
            "immutable",
            f"Asked to {doing}, the API server says that a Job cannot be changed once it exists: {shown}.",
            "Delete it first, or submit: the client gives another content another name.",
        )
    return Problem(
        "invalid",
        f"Asked to {doing}, the API server finds the manifest wrong: {shown}.",
        "Render again with this version of the kit.",
    )


def unreachable(words: str, doing: str, server: str) -> Problem:
    """Return the ``Problem`` of an API server that gave no answer; ``words`` are the message of the transport."""
    shown = quoted(words, 200)
    if re.match(r"(one line of )?the answer ", words):
        return Problem(
            "no-kubernetes",
            f"What {server} answers is nothing of Kubernetes ({doing}): {shown}.",
            "Check the kubeconfig's server, and whether a login page or a proxy stands between: `kubectl cluster-info`.",
        )
    if re.search(
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSLError|WRONG_VERSION_NUMBER|ssl", words, re.IGNORECASE
    ):
        return Problem(
            "tls",
            f"The TLS connection to {server} failed ({doing}): {shown}.",
            "Check certificate-authority-data of the kubeconfig, and whether a proxy stands between.",
        )
    if re.search(r"proxy", words, re.IGNORECASE):
        return Problem(
            "proxy",
            f"The proxy to {server} does not let through ({doing}): {shown}.",
            "Add the server to NO_PROXY, unset HTTPS_PROXY, or mend proxy-url of the kubeconfig.",
        )
    if re.search(r"timed out|timeout", words, re.IGNORECASE):
        return Problem(
            "timeout",
            f"{server} did not answer in time ({doing}).",
            "Check network and VPN, then run the same command again; what runs in the cluster goes on.",
        )
    return Problem(
        "unreachable",
        f"{server} cannot be reached ({doing}): {shown}.",
        "Check the kubeconfig's server, network and VPN: `kubectl cluster-info`.",
    )
