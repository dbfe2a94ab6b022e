"""Check objects that are applied together against all rules; each names what it comes from, and yields sentences."""

from runner.contract.errors import InputError
from runner.host.manifests.rules import api_server, kit, pod_security

RULES = (*api_server.RULES, *kit.RULES, *pod_security.RULES)


def refuse(objects):
    """Raise ``InputError`` with the first problem of the objects of one set, if there is any."""
    found = problems(objects)
    if found:
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(f"The manifests would be refused: {found[0]}{more}. Mend runner/catalog or the options.")


def problems(objects, without=()):
    """Return what is wrong with objects that are applied together, as sentences; ``without`` leaves out rules by name."""
    return [
        f"{rule.__name__}: {problem}" for rule in RULES if rule.__name__ not in without for problem in rule(objects)
    ]
