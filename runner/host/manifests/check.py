"""Check objects that are applied together against every rule. A rule is a function that yields what is wrong, as sentences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from runner.contract.errors import InputError
from runner.contract.records import JsonObject
from runner.host.manifests.rules import api_server, kit, pod_security

Rule = Callable[[Sequence[JsonObject]], Iterable[str]]

RULES: tuple[Rule, ...] = (*api_server.RULES, *kit.RULES, *pod_security.RULES)


def refuse(objects: Sequence[JsonObject]) -> None:
    """Raise ``InputError`` with the first problem of the objects of one set, if there is any."""
    sentences = problems(objects)
    if sentences:
        more = f" ({len(sentences) - 1} more)" if len(sentences) > 1 else ""
        raise InputError(f"The manifests would be refused: {sentences[0]}{more}. Mend runner/catalog or the options.")


def problems(objects: Sequence[JsonObject], without: Collection[str] = ()) -> list[str]:
    """Return what is wrong with objects that are applied together, as sentences; ``without`` names rules to leave out."""
    names = {rule: getattr(rule, "__name__", "") for rule in RULES}
    return [f"{name}: {problem}" for rule, name in names.items() if name not in without for problem in rule(objects)]
