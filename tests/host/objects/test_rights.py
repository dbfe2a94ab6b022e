"""The table of a submitter's rights, held against the objects that the client asks for."""

from __future__ import annotations

import pytest

from runner.host.cluster.connection import CUSTOM_KINDS
from runner.host.objects import kinds, rights
from runner.host.objects.rights import Right


def test_a_queue_needs_no_right_that_its_rule_does_not_grant() -> None:
    assert set(rights.QUEUE_RIGHTS) <= set(rights.QUEUE_RULE.rights())


def test_every_kind_of_run_but_the_job_has_a_rule_of_its_operator() -> None:
    assert set(rights.OPERATOR_RULES) == {kind.lower() for kind in kinds.RUNS if kind != "Job"}


@pytest.mark.parametrize("kind", CUSTOM_KINDS)
def test_the_rules_name_groups_and_resources_as_the_client_asks_for_them(kind: str) -> None:
    rules = [*rights.JOB_RULES, *rights.OPERATOR_RULES.values(), rights.QUEUE_RULE]
    resources = {(right.group, right.resource) for rule in rules for right in rule.rights()}
    assert (CUSTOM_KINDS[kind].group, CUSTOM_KINDS[kind].plural) in resources


def test_what_runs_need_grows_with_their_kinds_and_their_queue() -> None:
    jobs = rights.needed({"Job"})
    assert jobs[0] == Right("batch", "jobs", "create") and Right("", "pods/log", "get") in jobs
    assert rights.needed({"Job", "MPIJob"})[len(jobs) :] == list(rights.OPERATOR_RULES["mpijob"].rights())
    assert rights.needed({"Job"}, queued=True)[len(jobs) :] == list(rights.QUEUE_RIGHTS)


def test_a_rule_is_written_as_a_role_has_it() -> None:
    assert rights.Rule("", ("pods/log",), ("get",)).to_json() == {
        "apiGroups": [""],
        "resources": ["pods/log"],
        "verbs": ["get"],
    }
