"""The verb ``reach``: wait, for a limited time, until every host of a hostfile accepts a connection."""

from __future__ import annotations

import argparse
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Sequence

from runner.bench.processes import hostfile
from runner.contract import arguments as flag_types
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, Unreachable
from runner.contract.text import printable

# How long one attempt to connect may take, and how long the verb rests between two rounds of attempts.
ATTEMPT_S = 5


@dataclass(frozen=True)
class HostsReached(Event, word="reached"):
    """Every host of the hostfile has accepted a connection."""

    addresses: list[str] = field(metadata=fact("addresses of the hosts, in the order of the hostfile"))
    port: int = field(metadata=fact("port that was connected to"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "reach",
        description="Wait until every host of a hostfile accepts a connection. A launcher would else hang, or give up on the first"
        " host whose name is not known yet.",
    )
    flags.add_argument("hostfile", metavar="HOSTFILE", help="a line ADDRESS slots=N for each host")
    flags.add_argument("--port", type=flag_types.port, required=True, metavar="PORT")
    flags.add_argument(
        "--within-s", type=flag_types.seconds, default=300, metavar="SECONDS", help="default: %(default)s"
    )
    add_json(flags, "the hosts, once all are reached,")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Return 0 as soon as all hosts have accepted a connection.

    Raises ``Unreachable`` naming the hosts that did not in time, ``InputError`` as ``addresses`` does.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    hosts = addresses(options.hostfile)
    silent = hosts
    deadline = time.monotonic() + options.within_s
    while silent:
        problems = {}
        for address in silent:
            problem = connection_problem(address, options.port)
            if problem is not None:
                problems[address] = problem
        silent = list(problems)
        left_s = deadline - time.monotonic()
        if silent and left_s <= 0:
            reasons = "; ".join(f"{address}: {printable(problem, 100)}" for address, problem in problems.items())
            raise Unreachable(
                f"{len(silent)} host(s) did not answer on port {options.port} within {options.within_s:.0f} s ({reasons})."
                " See whether their pods run, and whether a network policy is in the way."
            )
        if silent:
            print(f"waiting for {', '.join(silent)}", file=sys.stderr, flush=True)
            time.sleep(min(ATTEMPT_S, left_s))
    announcer.announce(HostsReached(hosts, options.port))
    return 0


def addresses(path: str) -> list[str]:
    """Return the addresses of a hostfile's hosts in order.

    Raises ``InputError`` as ``hostfile.parse`` does, and for a file that names no host.
    """
    hosts = hostfile.parse(path)
    if not hosts:
        raise InputError(f"{path} names no host. Check the hostfile.")
    return [host.address for host in hosts]


def connection_problem(address: str, port: int) -> str | None:
    """Return None if a host accepts a connection, else in words why it does not."""
    try:
        socket.create_connection((address, port), timeout=ATTEMPT_S).close()
    # UnicodeError comes for a name that no resolver takes.
    except (OSError, UnicodeError) as problem:
        return str(problem)
    return None
