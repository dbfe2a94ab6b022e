"""The differences of a user's cluster from any other: all that the flags of ``render`` can say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from runner.contract.errors import UsageError
from runner.contract.records import JsonObject
from runner.contract.text import printable
from runner.host.objects import names

# The variables that pip reads, and those that name a proxy, in both of their spellings.
_OF_NETWORK = re.compile(r"(?:PIP|GIT)_[A-Z0-9_]+|(?:HTTP|HTTPS|NO|ALL)_PROXY|(?:http|https|no|all)_proxy")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Site:
    """A user's cluster. A ``namespace`` other than the kit's exists already. ``node_selector`` replaces the labels of accelerators.

    ``resources`` are added to those of every bench: the devices of a fabric, say. ``variables`` are the user's for all pods: those that
    only pip and a proxy's clients read come to the pods that reach the network, those of the hub to all, all others to every bench.
    """

    namespace: str = names.NAMESPACE
    storage_class: str | None = None
    access_mode: str = "ReadWriteOnce"
    queue: str | None = None
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[JsonObject, ...] = ()
    resources: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    runtime_class: str | None = None
    priority_class: str | None = None
    platform_ids: bool = False

    @property
    def bench_variables(self) -> dict[str, str]:
        """Return the user's variables of a bench, which is offline: a variable that no bench reads would only stand in its result."""
        return {name: value for name, value in self.variables.items() if not _OF_NETWORK.fullmatch(name)}

    @property
    def fetching_variables(self) -> dict[str, str]:
        """Return the user's variables of the pods that reach the network."""
        return {
            name: value
            for name, value in self.variables.items()
            if _OF_NETWORK.fullmatch(name) or name.startswith("HF_")
        }

    @property
    def fetching_ports(self) -> list[int]:
        """Return the ports, beside that of HTTPS, of the addresses that the variables of those pods name: a mirror's, a proxy's.

        Raises ``UsageError`` for an address with a port that cannot be.
        """
        addresses = [word for value in self.fetching_variables.values() for word in value.split()]
        ports = {_port(address) for address in addresses if "://" in address}
        return sorted(port for port in ports if port not in (None, _PORTS["https"]))


def _port(address: str) -> int | None:
    try:
        url = urlsplit(address)
        return url.port or _PORTS.get(url.scheme)
    except ValueError as problem:
        raise UsageError(
            f"--variable has the address {printable(address, 200)}: {problem}. Mend the address."
        ) from None


ANY = Site()
