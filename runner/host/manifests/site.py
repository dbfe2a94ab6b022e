"""The differences of a user's cluster from any other: all that the flags of ``render`` can say."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.contract.records import JsonObject
from runner.host.objects import names


@dataclass(frozen=True)
class Site:
    """A user's cluster. A ``namespace`` other than the kit's exists already. ``node_selector`` replaces the labels of accelerators.

    ``resources`` and ``variables`` are added to those of every bench: the devices of a fabric, say, and what its software reads.
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


ANY = Site()
