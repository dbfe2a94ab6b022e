"""The messages between parent and ranks: the input of a rank, and the marks of lines that a rank prints for the parent."""

from __future__ import annotations

import base64
import zlib
from typing import TypedDict

from runner.contract import strictjson
from runner.contract.errors import LaunchFailed
from runner.contract.records import JsonObject

# The parent shows the text behind this mark as progress. The parent keeps every other line of a rank's output for the
# case of a failure.
PROGRESS = "@bench "
# A rank on another host prints its last words, as JSON, behind this mark.
ERROR = "@bench-error "


class RankInput(TypedDict):
    """The input that every rank of a launch gets from the parent in its command.

    A rank on another host shares neither a file nor variables with the parent.
    """

    request: JsonObject
    # Name to value of the launch's variables.
    variables: dict[str, str]


class _LastWords(TypedDict):
    exit_code: int
    message: str


class LastWords(_LastWords, total=False):
    """The JSON that a rank leaves when an error ends the rank."""

    # Whether the rank ended because another process had ended before.
    echo: bool
    # The host's clock in seconds.
    at: float


def pack(value: RankInput) -> str:
    """Return a JSON value as one word of letters, digits, -, _ and =, which shells and launchers hand on unchanged."""
    return base64.urlsafe_b64encode(zlib.compress(strictjson.canonical(value))).decode()


def unpack(word: str) -> RankInput:
    """Return the value that ``pack`` was given. Raises ``LaunchFailed`` for a word that was changed on its way."""
    try:
        content = zlib.decompress(base64.urlsafe_b64decode(word))
    except (ValueError, zlib.error):
        raise LaunchFailed("What the launcher handed to this rank is not what the parent packed.") from None
    value: RankInput = strictjson.loads(content, "what the parent packed", LaunchFailed)
    return value
