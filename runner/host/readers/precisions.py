"""Read precisions.yaml: the precisions that no engine of the kit runs, and the stacks that could."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runner.contract import patterns
from runner.contract.fields import Fields
from runner.contract.request import PRECISIONS


@dataclass(frozen=True)
class Offer:
    """The offer of a stack to run a precision: on which accelerators, by which means, and who says so."""

    accelerators: tuple[str, ...]
    how: str
    source: str


@dataclass(frozen=True)
class UnrunPrecision:
    """A precision that no engine of the kit runs: other words for it, and the offers of stacks by their names."""

    also: tuple[str, ...]
    offers: Mapping[str, Offer]


def of_row(row: Fields) -> UnrunPrecision:
    """Return one precision. Raises ``InputError`` for a row that cannot be right."""
    also = row.forms("also", patterns.NAME)
    offers = {stack: _offer(fields) for stack, fields in row.each("offers", patterns.NAME)}
    row.done()
    return UnrunPrecision(tuple(also), offers)


def _offer(fields: Fields) -> Offer:
    accelerators = fields.forms("accelerators", patterns.NAME)
    if not accelerators:
        raise fields.fail("accelerators", "'accelerators' names none. Leave the stack out.")
    offer = Offer(tuple(accelerators), fields.form("how", patterns.TEXT), fields.form("source", patterns.TEXT))
    fields.done()
    return offer


def refusal(precision: str, row: UnrunPrecision, stack: str, accelerator: str) -> str:
    """Return in one sentence why a case of a stack on an accelerator is not made in a precision, and which stacks could run it."""
    offers = row.offers
    own = offers.get(stack)
    if own is not None and accelerator in own.accelerators:
        said = f"The stack {stack} offers {precision} on {accelerator} ({own.how})"
    elif offers:
        said = f"The stack {stack} on {accelerator} cannot run {precision}; {' and '.join(_could(offers))}"
    else:
        said = f"The stack {stack} on {accelerator} cannot run {precision}, and no other of versions.lock could"
    return (
        f"{said}; no engine of this kit runs {precision} on any. Take {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}."
    )


def _could(offers: Mapping[str, Offer]) -> Iterable[str]:
    for stack, offer in offers.items():
        yield f"{stack} could on {' and '.join(offer.accelerators)} ({offer.how})"
