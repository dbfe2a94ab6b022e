"""What a user's cluster is like where it differs from any other: all that ``render`` can be told."""

from dataclasses import dataclass, field

from runner.host.objects import names


@dataclass(frozen=True)
class Site:
    """``namespace`` other than the kit's own exists already. ``node_selector`` takes the place of the accelerators' labels.
    ``resources`` and ``variables`` come to those that a bench has: a fabric's devices, say, and what its software reads."""

    namespace: str = names.NAMESPACE
    storage_class: str | None = None
    access_mode: str = "ReadWriteOnce"
    queue: str | None = None
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[dict, ...] = ()
    resources: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    runtime_class: str | None = None
    priority_class: str | None = None
    platform_ids: bool = False


ANY = Site()
