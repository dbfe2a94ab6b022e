"""The published numbers, as the verb ``claims`` prints them."""

from __future__ import annotations

from runner.host.readers import catalog as catalogs
from runner.host.readers.catalog import Claim


def claims() -> dict[str, Claim]:
    """Return the published numbers by their names. Raises ``InputError`` for a damaged catalog.

    ``value`` is the number as printed, in the claim's ``unit``; ``latency_s`` is the same in seconds for 100 new tokens.

    >>> from bloomz_bench import claims
    >>> claim = claims()["post-3-gaudi2-8-bloomz"]
    >>> claim.devices, claim.accelerator, claim.value, claim.unit, claim.latency_s
    (8, 'gaudi2', '3.103', 's', 3.103)
    """
    return dict(catalogs.read().claims)
