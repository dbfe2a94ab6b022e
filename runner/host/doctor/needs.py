"""The needs of cases: what each asks of devices, host, stack and weights, as catalog, lock and profiles say it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.contract.request import Request
from runner.host import cases
from runner.host.cases import Changes
from runner.host.objects.quantities import quantity
from runner.host.readers.accelerators import AcceleratorRow
from runner.host.readers.catalog import Case, Catalog
from runner.host.readers.lockfile import Lock, PinnedRepository, PinnedStack
from runner.host.readers.profiles import Profile, Profiles


@dataclass(frozen=True)
class Need:
    """The needs of one case. ``request`` is the case with dummy weights, its open pins left open.

    ``profile`` is what a pod of the case asks of a node, None where profiles.yaml has no row of it. ``pin`` is the repository of the
    model's real weights, None for a model without any.
    """

    name: str
    case: Case
    request: Request
    accelerator: AcceleratorRow
    stack: PinnedStack
    pin: PinnedRepository | None
    profile: Profile | None

    @property
    def devices(self) -> str:
        """Return the devices that the case asks for, in words."""
        return f"{self.case.devices} x {self.case.accelerator}"

    @property
    def fetches_weights(self) -> bool:
        """Whether the weights are those of the hub."""
        return self.case.weights == "hub" and self.pin is not None

    @property
    def weight_bytes(self) -> int:
        """The bytes of the real weights on a disk; all published ones are of 16 bit."""
        return self.request.model.architecture.weight_bytes("bfloat16")


def of_cases(catalog: Catalog, lock: Lock, profiles: Profiles, names: Iterable[str], nodes: int = 1) -> list[Need]:
    """Return the needs of cases by their names, each on so many nodes. Raises ``UsageError`` for an unknown case."""
    needs = []
    for name in names:
        request = cases.make(catalog, lock, name, Changes(weights="dummy"), draft=True)
        case = catalog.cases[name]
        pod = (case.accelerator, case.devices // nodes)
        rows = [row for row in profiles.profiles.values() if (row.accelerator, row.devices) == pod]
        needs.append(
            Need(
                name=name,
                case=case,
                request=request,
                accelerator=catalog.accelerator_rows[case.accelerator],
                stack=lock.stacks[case.stack],
                pin=lock.models.get(case.model),
                profile=rows[0] if rows else None,
            )
        )
    return needs


def stacks(needs: Iterable[Need]) -> list[str]:
    """Return the names of the stacks of some needs, each once, in their order."""
    return list(dict.fromkeys(need.case.stack for need in needs))


def most_bytes(amounts: Iterable[str | None]) -> float:
    """Return the largest of some quantities (``690Gi``) as a number; 0 where there are none."""
    return max((quantity(amount) for amount in amounts if amount is not None), default=0.0)


def gigabytes(amount_bytes: float) -> str:
    """Return bytes as messages show them."""
    return f"{amount_bytes / 1e9:.1f} GB"
