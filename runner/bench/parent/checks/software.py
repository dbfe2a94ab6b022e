"""Checks of the software: the installed packages, and the variables and settings that reached the ranks."""

from __future__ import annotations

from runner.bench.facts.environment import is_of_the_host
from runner.bench.inputs import tokenizer
from runner.bench.parent.checks import evidence
from runner.bench.parent.checks.outcome import FLAG, REFUSE, equal, not_made
from runner.contract.records import Check, Environment, JsonObject, Launch, Rank
from runner.contract.request import Request


def inventory(environment: Environment) -> Check:
    """The installed distributions are the stack's locked ones, and every module comes from them.

    Evidence: the inventory, which compares names, versions, every file with its RECORD, and what imports find.
    """
    observed = environment["inventory"]
    if not observed or not observed["requirements"]:
        return not_made("inventory", REFUSE, "the stack's locked requirements are not here")
    wanted: JsonObject = {
        "missing": {},
        "changed": {},
        "altered_files": [],
        "shadowed": {},
        "unrecorded": [],
        "injected": [],
    }
    return equal("inventory", wanted, {name: value for name, value in observed.items() if name in wanted})


def inventory_added(environment: Environment) -> Check:
    """No distribution is installed beyond the stack. Evidence: the inventory's ``added``."""
    observed = environment["inventory"]
    return equal("inventory_added", [], sorted(observed["added"]) if observed else None, FLAG)


def interpreter(environment: Environment) -> Check:
    """No variable and no file changes what Python runs or how fast. Evidence: the inventory's ``interpreter``."""
    observed = environment["inventory"]
    return equal("interpreter", {}, observed["interpreter"] if observed else None, FLAG)


def variables(request: Request, launch: Launch) -> Check:
    """Every rank has the launch's variables with the launch's values.

    Evidence: the variables in each rank's own environment. A launcher over ssh, or a login shell, may drop or replace
    variables.
    """
    wanted = _variables_of_ranks(launch["variables"], launch["ranks"], request.devices)
    reached = [{name: evidence.variables(rank).get(name) for name in launch["variables"]} for rank in launch["ranks"]]
    return equal("variables", wanted, reached)


def _variables_of_ranks(
    launch_variables: dict[str, str], ranks: list[Rank], devices: int
) -> list[dict[str, str | None]]:
    """Return the variables that each of ``devices`` ranks must have.

    These are the launch's variables. On another host than the first a variable that names devices or interfaces has the
    host's own value, which must be the same for all ranks of the host.
    """
    variables_of_host: dict[str, dict[str, str]] = {}
    for rank in ranks:
        variables_of_host.setdefault(rank["host"], evidence.variables(rank))
    first_host = ranks[0]["host"] if ranks else None
    other_hosts = [rank["host"] if rank["host"] != first_host else None for rank in ranks[:devices]]
    return [
        {
            name: variables_of_host[host].get(name) if host is not None and is_of_the_host(name) else value
            for name, value in launch_variables.items()
        }
        for host in other_hosts + [None] * (devices - len(other_hosts))
    ]


def generation(request: Request, launch: Launch) -> Check:
    """generate() worked with plain greedy decoding and a cache, and with no other setting.

    Evidence: the settings of the effective ``GenerationConfig`` that differ from transformers' defaults.
    """
    return equal("generation", generation_settings(request), launch["generation"])


def generation_settings(request: Request) -> JsonObject:
    """Return the settings that generate() must work with."""
    return {
        "max_new_tokens": request.workload.output_tokens,
        "do_sample": False,
        "num_beams": 1,
        "use_cache": True,
        "eos_token_id": tokenizer.END if request.protocol.end_of_text == "stop" else None,
    }


def experimental(launch: Launch) -> Check:
    """The launch ran on one host: the vendor calls inference on several hosts possible, and its results inconsistent.

    Evidence: the host that each rank ran on.
    Source: huggingface/optimum-habana@1d8504c docs/source/usage_guides/multi_node_training.mdx.
    """
    hosts = len({rank["host"] for rank in launch["ranks"]})
    return equal("experimental", [], [] if hosts == 1 else [f"ranks on {hosts} hosts"], FLAG)
