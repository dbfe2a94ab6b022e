"""The folder of one container: its request, its results, its termination message and its log; as a Job's, with its volume beside it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType

from runner.contract import files, frame, secrets, strictjson, termination, unfinished
from runner.contract.errors import DamagedResult, KitError, PublishFailed
from runner.contract.request import Request
from runner.contract.termination import Message
from runner.host import writing
from runner.host.containers.command import Bind
from runner.host.containers.plans import CONFIG
from runner.host.manifests import config
from runner.host.objects import names

_ADVICE = "Free space, or name another folder with --runs."


class RunFolder:
    """The folder of the run of one request.

    Only its owner can look into it, and what lies below can be written by any user: the container's user is none of this host. Results
    go below the request's id, in a folder that was made here, so that its owner can remove what the container wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config, self.results = path / "config", path / "results"
        self.termination_log, self.log = path / "termination-message.json", path / f"{path.name}.log"

    def make(self, request: Request) -> None:
        """Make the folder and all in it. Raises ``PublishFailed`` where it is there already or cannot be made."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
            self.config.mkdir()
            self.config.chmod(0o755)
            for folder in (self.results, self.results / request.id):
                folder.mkdir()
                folder.chmod(0o777)
            self.termination_log.touch()
            self.termination_log.chmod(0o666)
        except OSError as problem:
            raise PublishFailed(f"{self.path} cannot be made: {files.reason(problem)}. {_ADVICE}") from None
        path = self.config / config.file_name(request)
        writing.write_text(path, strictjson.pretty(request.to_json()), _ADVICE)
        path.chmod(0o644)

    @property
    def volumes(self) -> dict[str, Bind]:
        """The volumes of the pod that this folder stands for."""
        return {CONFIG: Bind(self.config), names.RESULTS: Bind(self.results)}

    def message(self) -> Message | None:
        """Return the termination message, None where the container left none."""
        with contextlib.suppress(OSError, KitError):
            content = files.read_bytes(self.termination_log, termination.MAX_BYTES, DamagedResult, "See the log.")
            return termination.read(content.decode("utf-8", "replace"), str(self.termination_log))
        return None


class Log:
    """The log of a container, as a kubelet keeps a pod's: both streams, line by line, secrets masked, frames as they are."""

    def __init__(self, folder: RunFolder) -> None:
        """Open the log of a folder. Raises ``PublishFailed``."""
        self._folder = folder
        try:
            self._file = folder.log.open("ab")
        except OSError as problem:
            raise PublishFailed(f"{folder.log} cannot be written: {files.reason(problem)}. {_ADVICE}") from None
        # the attempts whose frames are whole here
        self._framed: set[str] = set()
        # a container that was killed may leave half a line
        self._within_line = False
        self._problem: OSError | None = None

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def take(self, line: bytes) -> str:
        """Keep a line, and return it as it may be shown. A full disk is said at the end, for the results lie elsewhere too."""
        text = line.decode("utf-8", "replace")
        if text.startswith(frame.MARK):
            self._note(text)
        else:
            text = secrets.mask(text)
        self._write(text)
        return text.rstrip("\r\n")

    def add_results(self) -> list[str]:
        """Write the results into the log that the container did not print, and what it had measured if it was killed.

        Returns the attempts of all results in the log. Raises ``PublishFailed`` where the log could not be written, ``DamagedResult``
        for a result that cannot be read.
        """
        for path in sorted(self._folder.results.rglob("*.json")):
            if path.stem not in self._framed and not path.name.startswith("."):
                self._add(
                    path.stem,
                    files.read_bytes(path, strictjson.MAX_BYTES, DamagedResult, "Look after its owner and mode."),
                )
        for left in unfinished.left(str(self._folder.results)):
            if isinstance(left, KitError):
                raise left
            if left.measured and not left.published:
                self._add(left.attempt, left.content)
        if self._problem is not None:
            raise PublishFailed(
                f"{self._folder.log} could not take all lines: {files.reason(self._problem)}. The results lie in"
                f" {self._folder.results}. {_ADVICE}"
            )
        return sorted(self._framed)

    def _add(self, attempt: str, content: bytes) -> None:
        start = "\n" if self._within_line else ""
        self._write(start + "".join(f"{line}\n" for line in frame.write(attempt, content)))
        self._framed.add(attempt)

    def _note(self, text: str) -> None:
        kind, _, attempt = text.removeprefix(frame.MARK).strip().partition(" ")
        if kind == "end":
            self._framed.add(attempt)

    def _write(self, text: str) -> None:
        try:
            self._file.write(text.encode())
            self._file.flush()
            self._within_line = not text.endswith("\n")
        except OSError as problem:
            self._problem = problem
