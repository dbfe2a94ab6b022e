"""The verb ``reach``: wait, but not for ever, until every host of a hostfile can be spoken to."""

from __future__ import annotations

import socket
import sys
import time

from runner.bench.processes import hostfile
from runner.contract import arguments as flags
from runner.contract.arguments import verb_parser
from runner.contract.errors import InputError, Unreachable
from runner.contract.text import printable

TRY_S = 5  # how long one attempt may take, and how long to rest between two


def parser():
    described = verb_parser(
        "reach",
        description="Wait until every host of a hostfile accepts a connection. A launcher would else hang, or give up on the first"
        " host whose name is not known yet.",
    )
    described.add_argument("hostfile", metavar="HOSTFILE", help="a line ADDRESS slots=N for each host")
    described.add_argument("--port", type=flags.port, required=True, metavar="PORT")
    described.add_argument(
        "--within-s", type=flags.seconds, default=300, metavar="SECONDS", help="default: %(default)s"
    )
    return described


def main(arguments):
    """Return 0 as soon as all hosts answered. Raises ``Unreachable`` naming those that did not in time."""
    options = parser().parse_args(arguments)
    silent = addresses(options.hostfile)
    deadline, told = time.monotonic() + options.within_s, {}
    while silent:
        told = {address: problem for address in silent for problem in [attempt(address, options.port)] if problem}
        silent = list(told)
        left_s = deadline - time.monotonic()
        if silent and left_s <= 0:
            reasons = "; ".join(f"{address}: {printable(problem, 100)}" for address, problem in told.items())
            raise Unreachable(
                f"{len(silent)} host(s) did not answer on port {options.port} within {options.within_s:.0f} s ({reasons})."
                " See whether their pods run, and whether a network policy is in the way."
            )
        if silent:
            print(f"waiting for {', '.join(silent)}", file=sys.stderr, flush=True)
            time.sleep(min(TRY_S, left_s))
    return 0


def addresses(path):
    """Return the addresses of a hostfile's hosts in order. Raises ``InputError`` as ``hosts.parse`` does, and where it names none."""
    found = [host.address for host in hostfile.parse(path)]
    if not found:
        raise InputError(f"{path} names no host. Check the hostfile.")
    return found


def attempt(address, port):
    """Return None if the host accepts a connection, else what went wrong, in words."""
    try:
        socket.create_connection((address, port), timeout=TRY_S).close()
    except (OSError, UnicodeError) as problem:  # UnicodeError: a name that no resolver takes
        return str(problem)
    return None
