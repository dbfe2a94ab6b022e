"""Read values that flags give as KEY=VALUE."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from runner.contract import patterns, secrets
from runner.contract.errors import UsageError
from runner.contract.patterns import Form
from runner.contract.text import printable


def read(
    given: Sequence[str], flag: str, form: str, key_form: Form, value_form: Form | patterns.FreeText
) -> dict[str, str]:
    """Return the values that a flag gave as KEY=VALUE, which ``form`` describes.

    Raises ``UsageError`` for another form, a key that is given twice, and a value that looks like a secret: others read manifests.
    """
    pairs: dict[str, str] = {}
    for pair in given:
        key, mark, value = pair.partition("=")
        if mark and (secrets.is_secret_name(key) or secrets.mask(value) != value):
            raise UsageError(
                f"{flag} {printable(key, 100)}: its value looks like a secret, and manifests are files in clear text. Keep it"
                " in a Secret of the cluster, and name that with secretKeyRef in an overlay of yours (k8s/overlays)."
            )
        if not mark or not key_form.fullmatch(key) or not value_form.fullmatch(value):
            raise UsageError(f"{flag} must be {form}, {secrets.mask(pair)!a} was given.")
        if key in pairs:
            raise UsageError(f"{flag} names {key} twice. Give it once.")
        pairs[key] = value
    return pairs


def of_images(given: Sequence[str], stacks: Collection[str]) -> dict[str, str]:
    """Return the images that ``--image`` gave, by their stacks. Raises ``UsageError`` as ``read`` does, and for an unknown stack."""
    images = read(given, "--image", "STACK=REFERENCE@sha256:64 hex digits", patterns.NAME, patterns.IMAGE)
    unknown = [stack for stack in images if stack not in stacks]
    if unknown:
        raise UsageError(f"--image: there is no stack {unknown[0]!r}. Known are {', '.join(stacks)}.")
    return images
