from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.host import diagnosis
from runner.host.diagnosis import diagnose, requests
from runner.host.diagnosis.problem import Problem
from tests.support import observations

ROOT = Path(__file__).parents[3]
SENTENCES = ROOT / "tests" / "data" / "problems.txt"


def answers() -> Iterator[tuple[str, Problem]]:
    """Yield (name, problem) of what the API server itself can say."""
    kinds = 'Internal error occurred: resource "mpijobs"'
    responses = {
        "302": (302, ""),
        "401": (401, "Unauthorized"),
        "403": (403, 'jobs.batch is forbidden: User "someone" cannot create resource "jobs"'),
        "403 quota": (
            403,
            'jobs.batch "x" is forbidden: exceeded quota: team, requested: count/jobs.batch=1, used: count/jobs.batch=5,'
            " limited: count/jobs.batch=5",
        ),
        "403 webhook": (
            403,
            'admission webhook "validation.gatekeeper.sh" denied the request: [team] label is missing',
        ),
        "422 policy": (
            422,
            "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'team' with binding 'all' denied request: no label",
        ),
        "403 terminating": (
            403,
            'jobs.batch "x" is forbidden: unable to create new content in namespace bench because it is being terminated',
        ),
        "404": (404, 'persistentvolumeclaims "x" not found'),
        "404 namespace": (404, 'namespaces "bench" not found'),
        "404 kind": (404, "404 page not found"),
        "409": (409, "Operation cannot be fulfilled: the object has been modified"),
        "410": (410, "too old resource version: 1 (1000)"),
        "422": (422, 'Job.batch "x" is invalid: spec.template.spec.containers[0].image: Required value'),
        "422 immutable": (422, 'Job.batch "x" is invalid: spec.template: Invalid value: {}: field is immutable'),
        "429": (429, "Too many requests, please try again later."),
        "500": (500, kinds),
        "503": (503, "the server is currently unable to handle the request"),
    }
    for name, (status, message) in responses.items():
        yield (
            f"HTTP {name}",
            requests.refused(status, message, "create the Job x", "bench", 3.0 if status == 429 else None),
        )
    plugin = (
        "No kubeconfig can be used: the credential plugin aws of the user u did not end within 30 s and was stopped"
    )
    yield "HTTP 401, not renewed", requests.refused(401, plugin, "create the Job x", "bench")
    yield (
        "HTTP 404 MPIJob",
        requests.refused(404, "the server could not find the requested resource", "create the MPIJob x", "bench"),
    )
    yield (
        "HTTP 404 JobSet",
        requests.refused(404, "404 page not found", "try to create the JobSet x", "bench"),
    )
    words = {
        "TLS": "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
        "proxy": "Cannot connect to proxy. OSError('Tunnel connection failed: 403 Forbidden')",
        "timeout": "HTTPSConnectionPool(host='api', port=6443): Read timed out. (read timeout=30.0)",
        "no Kubernetes": "the answer is an HTML page, of a login or a proxy perhaps",
        "unreachable": "Failed to establish a new connection: [Errno 111] Connection refused",
    }
    for name, message in words.items():
        yield name, requests.unreachable(message, "list Pods", "https://api:6443")


def every_problem() -> list[tuple[str, Problem]]:
    """Return (name, problem) of every observation and of every answer of an API server."""
    diagnoses = [(name, diagnose(observed)) for name, observed in observations.ALL.items()]
    without = [name for name, problem in diagnoses if problem is None]
    assert without == []
    return [*((name, problem) for name, problem in diagnoses if problem is not None), *answers()]


def as_text(name: str, problem: Problem) -> str:
    passes = f", may pass within {problem.wait}" if problem.wait else ""
    return f"{name} [{problem.row}{passes}]\n  {problem.sentence}\n  {problem.step}\n"


def test_every_observation_is_told_in_the_sentence_that_was_agreed() -> None:
    assert "\n".join(as_text(name, problem) for name, problem in every_problem()) == SENTENCES.read_text(
        encoding="utf-8"
    )


def rows_written() -> set[str]:
    """Return the names of all rows in the source: the first text of a ``Problem``, and that of a table's line of texts."""
    rows: set[str] = set()
    for path in Path(diagnosis.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Problem", "MessageRow"):
                texts = [node.args[0], *node.args[1:]]
            elif isinstance(node, ast.Tuple):
                texts = node.elts
            else:
                continue
            words = [text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]
            first = texts[0].value if texts and isinstance(texts[0], ast.Constant) else ""
            is_row = isinstance(first, str) and re.fullmatch("[a-z0-9-]+", first) is not None
            if is_row and (isinstance(node, ast.Call) or any(" " in word for word in words)):
                rows.add(str(first))
    return rows


def test_every_row_has_an_observation_that_it_tells() -> None:
    rows = {problem.row for _, problem in every_problem()}
    assert rows_written() - rows == set()
    assert len(rows) > 60


@pytest.mark.parametrize("name, problem", every_problem(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_problem_is_one_sentence_and_a_next_step(name: str, problem: Problem) -> None:
    assert isinstance(problem, Problem), name
    assert problem.sentence.endswith(".") and problem.step.endswith(".")
    assert "\n" not in str(problem) and len(str(problem)) < 600
    assert "None" not in str(problem) and "{" not in problem.step


def test_what_goes_well_is_no_problem() -> None:
    from tests.support.observations import condition, job, pod, seen

    running = pod(condition("PodScheduled"), node="node1", phase="Running", containers=[{"running": {}}])
    waiting = pod(condition("PodScheduled"), node="node1", containers=[{"waiting": {"reason": "ContainerCreating"}}])
    done = pod(condition("PodScheduled"), node="node1", phase="Succeeded", containers=[{"terminated": {"exitCode": 0}}])
    for observed in (
        seen(),
        seen(pods=(pod(),)),
        seen(pods=(running,)),
        seen(pods=(waiting,)),
        seen(pods=(done,)),
        seen(job=job(condition("Complete")), pods=(done,)),
    ):
        assert diagnose(observed) is None


def test_a_pod_that_was_replaced_is_forgotten() -> None:
    evicted = observations.ALL["evicted"].pods[0]
    running = observations.pod(
        observations.condition("PodScheduled"),
        name="later",
        node="node2",
        phase="Running",
        containers=[{"running": {}}],
    )
    assert diagnose(observations.seen(pods=(evicted, running))) is None


def test_foreign_words_are_shown_on_one_line_and_cannot_move_the_cursor() -> None:
    text = str(diagnose(observations.refused("bad\n\x1b[2Jthing " + "x" * 5000)))
    assert "\x1b" not in text and "\n" not in text and len(text) < 700


# The forms of Kubernetes 1.36.2, after the sentence of the reasons: as its scheduler wrote them on a cluster of one node.
@pytest.mark.parametrize(
    "after",
    [observations.PREEMPTION, " no new claims to deallocate," + observations.PREEMPTION, " not found"],
    ids=["preemption", "claims and preemption", "not found"],
)
@pytest.mark.parametrize(
    "reasons", ["2 Insufficient cpu.", "2 Insufficient habana.ai/gaudi, 1 Insufficient hugepages-2Mi."]
)
def test_what_the_scheduler_says_after_its_reasons_is_no_part_of_them(reasons: str, after: str) -> None:
    alone = observations.unschedulable(observations.NONE + reasons)
    assert diagnose(observations.unschedulable(observations.NONE + reasons + after)) == diagnose(alone)
