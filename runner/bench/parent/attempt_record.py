"""The record of an attempt: kept on disk while the attempt runs, and published as a result at its end."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from datetime import datetime, timezone
from typing import Callable, NamedTuple, Sequence

from runner.bench.facts import environment
from runner.bench.inputs import preflight
from runner.bench.parent.rows import Rows
from runner.bench.processes.hostfile import Host
from runner.contract import frame, publish, records, signals, strictjson, unfinished
from runner.contract import result as results
from runner.contract.errors import PublishFailed
from runner.contract.request import Request
from runner.contract.secrets import mask_json


class Paths(NamedTuple):
    """Paths on this machine. A request names a model and a dataset, and never the place where they lie."""

    results: str
    model_dir: str | None
    dataset_file: str | None
    hostfile: str | None = None


class AttemptRecord:
    """One attempt at a request, with everything that its result will say.

    ``hosts`` are the hosts of its ranks, ``checked`` is what the checks before it found, and ``manner`` is how the
    folder of results takes files. ``show`` prints a line of progress; ``published`` is called with the path of the
    result. ``with_operators`` asks each launch for one more call, whose operators it counts.
    """

    def __init__(
        self,
        request: Request,
        paths: Paths,
        hosts: Sequence[Host],
        checked: preflight.Found,
        manner: publish.Manner,
        show: Callable[[str], None],
        published: Callable[[str], None],
        with_operators: bool = False,
    ) -> None:
        self.request = request
        self.paths = paths
        self.hosts = hosts
        self.show = show
        self.with_operators = with_operators
        self._published = published
        self._manner = manner
        self._started = datetime.now(timezone.utc)
        self._started_ns = time.monotonic_ns()
        self.id = f"{self._started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self._path = os.path.join(paths.results, results.file_name(request.id, self.id))
        self.environment: records.Environment = mask_json(environment.describe(checked.inventory))
        self.weights = checked.weights
        self.launches: list[records.Launch] = []
        self.rows: Rows | None = None
        self._made_folders = list(publish.missing(os.path.dirname(self._path)))
        self._journal: unfinished.Journal | None = None

    def begin(self) -> None:
        """Make the file for the rows of a dataset, and the journal. Raises ``PublishFailed``."""
        if self.request.workload.dataset is not None:
            self.rows = Rows(self._path)
            self._open_journal()

    def keep(self, launch: records.Launch) -> None:
        """Add the record of a launch that ended.

        The record of a complete launch also goes to disk, so that a kill does not lose the launch.
        """
        masked: records.Launch = mask_json(launch)
        self.launches.append(masked)
        if launch["status"] == "complete":
            self._open_journal()
            self._add_to_journal(masked)

    def _open_journal(self) -> None:
        """Make the journal, if there is none yet.

        Where that fails the launches are in memory only, and are published at the end.
        """
        if self._journal is not None:
            return
        head = {key: value for key, value in self._body("interrupted").items() if key != "launches"}
        try:
            self._journal = unfinished.Journal(self._path, {**head, "rows": self.rows is not None})
        except OSError as problem:
            self._show_not_kept(problem)

    def _add_to_journal(self, launch: records.Launch) -> None:
        if self._journal is None:
            return
        try:
            self._journal.add({"attempt": self._attempt("interrupted"), "launch": launch})
        except OSError as problem:
            self._show_not_kept(problem)

    def _show_not_kept(self, problem: OSError) -> None:
        self.show(f"what was measured so far could not be kept beside the result: {problem.strerror}")

    def complete_launches(self) -> int:
        """Return how many launches are complete."""
        return sum(launch["status"] == "complete" for launch in self.launches)

    def measured(self) -> bool:
        """Return whether the attempt has a complete launch, or rows of a dataset, to keep."""
        return self.complete_launches() > 0 or (self.rows is not None and bool(self.rows.read()))

    def _attempt(self, status: records.AttemptStatus) -> records.Attempt:
        duration_s = (time.monotonic_ns() - self._started_ns) / 1e9
        ended = datetime.now(timezone.utc)
        attempt: records.Attempt = {
            "id": self.id,
            "status": status,
            "started_utc": f"{self._started:%Y-%m-%dT%H:%M:%SZ}",
            "ended_utc": f"{ended:%Y-%m-%dT%H:%M:%SZ}",
            "duration_s": duration_s,
            # The wall clock against the monotonic clock: the difference shows a wall clock that was set during the
            # attempt.
            "clock_drift_s": (ended - self._started).total_seconds() - duration_s,
        }
        if self._manner != publish.USUAL:
            attempt["published"] = self._manner.to_json()
        return attempt

    def _body(self, status: records.AttemptStatus) -> records.JsonObject:
        """Return the result without its outputs and its seal.

        The request is unchanged, since its id is a hash of its content.
        """
        return {
            "kind": "result",
            "schema": results.SCHEMA,
            "attempt": self._attempt(status),
            "request": self.request.to_json(),
            "environment": self.environment,
            "launches": self.launches,
        }

    def end(self, discard: bool = True) -> None:
        """Close the journal and the rows.

        ``discard`` also removes them: the result is published, or nothing was measured.
        """
        if self._journal is not None:
            self._journal.close(discard)
        if self.rows is not None:
            (self.rows.discard if discard else self.rows.close)()
        for folder in self._made_folders:
            # The folder may hold another file, such as a result.
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def publish(self, status: records.AttemptStatus) -> str:
        """Publish the rows, then the result that names them; return the result's path.

        Signals wait until both are kept.
        Raises ``PublishFailed`` where the folder does not take them. The message then says where they are kept instead.
        """
        with signals.held_back():
            refusal: PublishFailed | None = None
            outputs: records.Outputs | None = None
            rows = b""
            if self.rows is not None:
                rows = self.rows.read()
                outputs = unfinished.outputs(self._path, rows)
                try:
                    outputs["file"] = self.rows.publish()
                except PublishFailed as problem:
                    refusal = problem
            content = strictjson.pretty(results.seal({**self._body(status), "outputs": outputs})).encode()
            try:
                manner = publish.publish(self._path, content)
            except PublishFailed as problem:
                refusal = refusal or problem
            else:
                if manner != self._manner:
                    self.show(
                        f"the folder of the results has changed since the start: the result was published by {manner.by}"
                    )
            if refusal is None:
                self.end()
                self._published(self._path)
                return self._path
            self.end(discard=False)
            kept = self._keep_elsewhere(content, rows)
        raise PublishFailed(f"{refusal} The measurement has ended and is kept: {kept}.")

    def _keep_elsewhere(self, content: bytes, rows: bytes) -> str:
        """Keep a result among the temporary files, or print it on standard output; return in words where it is kept."""
        try:
            folder = tempfile.mkdtemp(prefix="bloomz-bench-result-")
            path = os.path.join(folder, f"{self.id}.json")
            publish.publish(path, content)
            if rows:
                publish.publish(unfinished.rows_path(path), rows)
        except (OSError, PublishFailed):
            print_frames(self.id, content)
            return "its frames are on standard output, for `python -m runner collect`"
        self._published(path)
        return f"see {path}, and copy it to a folder of results"


def print_frames(attempt_id: str, content: bytes) -> None:
    """Print a result on standard output in checksummed lines, so that a log alone carries the result."""
    print("\n".join(frame.write(attempt_id, content)), flush=True)
