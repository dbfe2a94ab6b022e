"""Run the programs that ask origins (git, pip, skopeo, uv), and find in their words what kept them from an answer.

A value of a file reaches a program only as an operand behind ``--``, so no value becomes an option. No program may ask anything at
the terminal.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.contract import secrets
from runner.contract.errors import KitError, Unreachable
from runner.contract.text import printable
from runner.host.pins.silence import NoAnswer

TIMEOUT_S = 120
DOWNLOAD_S = 3600

# Meanings are found in the words of messages, so the messages must be in English.
ENGLISH = {"LC_ALL": "C", "LANGUAGE": "C"}


@dataclass(frozen=True)
class Failure:
    """The failure of a program: its exit status, its standard error, and the line of it that says why, without secrets."""

    status: int
    stderr: str
    line: str


class ProgramFailed(Unreachable):
    """A program ended with another status than 0; ``failure`` says more."""

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


@dataclass(frozen=True)
class Meaning:
    """The meaning of a program's words: the error to raise, and the sentence to put before the program's own words.

    Where ``whole``, the words are looked for in the whole of standard error, and all of it is shown: uv breaks sentences into lines.
    """

    words: re.Pattern[str]
    error: type[KitError]
    says: str
    whole: bool = False


# Characters that uv draws around its messages.
_FRAME = " \u00d7\u2502\u2570\u2500\u25b6\u251c"

LOGIN = "it asks for a login, which is missing or wrong"

# The words of git, curl and ssh; of skopeo and Go; of pip and its urllib3; of uv and its reqwest.
_LOOK = "Look at the network and its proxy variables, and run the same command again"

NO_ANSWER = Meaning(
    re.compile(
        r"Could not resolve host|Connection (?:refused|reset|timed out)|Failed to connect|No route to host|Network is unreachable"
        r"|Temporary failure in name resolution|Name or service not known|Could not resolve hostname"
        r"|connection refused|no such host|i/o timeout|network is unreachable|no route to host|context deadline exceeded"
        r"|connection reset by peer|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Failed to establish a new connection"
        r"|error sending request|client error \(Connect\)|operation timed out|dns error|tcp connect error|Read timed out"
        r"|Max retries exceeded|failed to ping|Connection to \S+ timed out"
    ),
    NoAnswer,
    "it did not answer",
)


def run(
    command: Sequence[str],
    origin: str,
    given: bytes | None = None,
    timeout_s: float = TIMEOUT_S,
    environment: Mapping[str, str] | None = None,
    meanings: Sequence[Meaning] = (),
) -> bytes:
    """Return what a program writes to standard output; ``given`` is its standard input, ``origin`` begins every message.

    Raises the error of the first of ``meanings`` whose words the program says, ``NoAnswer`` after ``timeout_s`` or where the
    program's words mean that nobody answered, ``Unreachable`` where the program cannot be started, and ``ProgramFailed`` for any
    other failure.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **ENGLISH, **(environment or {})},
            # in a session without a terminal, no program waits for a password that nobody types
            start_new_session=True,
        )
    except OSError as problem:
        raise Unreachable(f"{origin}: {command[0]} cannot be run: {problem.strerror}; install it") from None
    with process:
        try:
            output, errors = process.communicate(given, timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)
            raise NoAnswer(f"{origin}: no answer in {timeout_s:g} s") from None
        # Ctrl-C does not reach another session
        except BaseException:
            _end(process)
            raise
    if process.returncode == 0:
        return output
    raise meaning_of(process.returncode, errors.decode(errors="replace"), origin, meanings)


def knock(command: Sequence[str], origin: str, timeout_s: float, environment: Mapping[str, str] | None = None) -> None:
    """Put a short question to an origin that has not answered yet; whatever it answers, it is there.

    A long question has a long limit, which a silent origin would use up. Raises ``NoAnswer``, after ``timeout_s`` at the latest.
    """
    try:
        run(command, origin, timeout_s=timeout_s, environment=environment)
    except NoAnswer:
        raise
    except KitError:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and every process that it started: git starts a helper that waits, and holds the pipes open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def meaning_of(status: int, stderr: str, origin: str, meanings: Sequence[Meaning]) -> KitError:
    """Return the error that the words of a failed program mean."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for meaning in (*meanings, NO_ANSWER):
        candidates = [" ".join(line.strip(_FRAME) for line in lines)] if meaning.whole else lines
        match = next((line for line in candidates if meaning.words.search(line)), None)
        if match is not None:
            sentence = f"{origin}: {meaning.says} ({_plain(match)})"
            return meaning.error(f"{sentence}. {_LOOK}" if meaning is NO_ANSWER else sentence)
    last = _plain(lines[-1]) if lines else f"status {status}"
    return ProgramFailed(f"{origin}: {last}", Failure(status, stderr, last))


def _plain(line: str) -> str:
    """Return a line as messages show it: without secrets, control characters and the form of skopeo's log."""
    logged = re.search(r'level=fatal msg="(.*)"$', line)
    return printable(secrets.mask(logged[1] if logged else line), 800)
