"""Collect the attempts of one request into a ``Group``, whose launches are samples of the same thing. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.contract import patterns
from runner.contract.records import Conditions
from runner.contract.request import Request
from runner.contract.text import printable
from runner.host.judging import counts
from runner.host.judging.counts import Tally
from runner.host.judging.flags import FlaggedLaunches
from runner.host.results.attempts import AttemptSummary, LaunchSummary, of_text
from runner.host.results.result_files import ReadResult
from runner.host.results.run_images import RunImage


@dataclass
class Group:
    """All results of one request: none is left out, those of interrupted attempts neither.

    The latencies of all launches, the conditions under which complete launches were observed and the names of checks that refused
    a launch are added up as the attempts are read. ``observed`` holds each set of conditions once. Of the attempts themselves only
    the newest are kept, as (id, text), where the text is that of ``attempts.to_text``.

    ``digests`` holds, for each image that attempts asked for by tag, the digests that the tag was; ``unknown_images`` are the images of
    attempts of which nobody noted the digest.

    ``counts`` and ``flagged`` hold what launches told, those that a check refused too. ``failed`` is the number of launches that gave no
    measurement. ``seen`` maps each condition to its values over all launches that tell it. ``told`` maps ``python``, ``processor``,
    ``device``, ``driver`` and ``firmware`` to what attempts and their launches told.
    """

    request: Request
    attempts: list[str] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    observed: dict[tuple[tuple[str, object], ...], Conditions] = field(default_factory=dict)
    refused_checks: set[str] = field(default_factory=set)
    emulated: bool = False
    digests: dict[str, set[str]] = field(default_factory=dict)
    unknown_images: set[str] = field(default_factory=set)
    newest: list[tuple[str, str]] = field(default_factory=list)
    counts: Tally = field(default_factory=dict)
    flagged: dict[str, FlaggedLaunches] = field(default_factory=dict)
    failed: int = 0
    seen: dict[str, set[str]] = field(default_factory=dict)
    told: dict[str, set[str]] = field(default_factory=dict)

    def add(self, attempt: AttemptSummary, text: str, kept: int | None = None, images: Iterable[RunImage] = ()) -> None:
        """Add one attempt, which is also given as text; ``kept`` is how many of the newest are kept, None for all.

        ``images`` are those of the attempt's run.
        """
        self.attempts.append(attempt.id)
        noted = {image.tag for image in images if image.tag is not None and image.digest is not None}
        for image in images:
            if image.tag is not None and image.digest is not None:
                self.digests.setdefault(image.tag, set()).add(image.digest)
        # what an image by digest holds is in its name
        if attempt.image is not None and attempt.image not in noted and not patterns.IMAGE.fullmatch(attempt.image):
            self.unknown_images.add(attempt.image)
        self._tell("python", [attempt.python])
        self._tell("processor", [attempt.cpu])
        for launch in attempt.launches:
            self._add_launch(attempt, launch)
            self.refused_checks.update(launch.refused)
            if launch.timed is not None:
                self.latencies_s.append(launch.timed.latency_s)
            if launch.conditions is not None:
                self.emulated = self.emulated or launch.conditions["emulated"]
                if launch.complete:
                    self.observed.setdefault(tuple(sorted(launch.conditions.items())), launch.conditions)
        self.newest.append((attempt.id, text))
        # twice as many may gather before they are sorted, so that not every attempt sorts them anew
        if kept is not None and len(self.newest) > 2 * kept:
            self.newest = sorted(self.newest, reverse=True)[:kept]

    def _add_launch(self, attempt: AttemptSummary, launch: LaunchSummary) -> None:
        self.failed += not launch.complete
        counts.add(self.counts, attempt, launch)
        self._tell("device", launch.device_names)
        self._tell("driver", launch.drivers)
        self._tell("firmware", launch.firmwares)
        for condition, value in (launch.conditions or {}).items():
            self.seen.setdefault(condition.replace("_", " "), set()).add(_word(value))
        for check in launch.flagged:
            self.flagged.setdefault(check, FlaggedLaunches()).add(f"{attempt.id} launch {launch.index + 1}")

    def _tell(self, what: str, values: Iterable[str]) -> None:
        self.told.setdefault(what, set()).update(values)

    @property
    def words(self) -> str:
        """The cell that the request measures, in words."""
        return f"{self.request.devices} x {self.request.accelerator.name}, {self.request.model.name}"

    @property
    def moved_image(self) -> str | None:
        """Return in words that a tag was not the same image for all attempts, None where what is known agrees."""
        for tag, digests in sorted(self.digests.items()):
            if len(digests) > 1:
                return f"{printable(tag, 200)} was another image from one attempt to the other: {' and '.join(sorted(digests))}"
        return None

    def shown(self, kept: int | None) -> list[AttemptSummary]:
        """Return the ``kept`` newest attempts, None for all that are kept; the newest is the first."""
        return [of_text(text) for _, text in sorted(self.newest, reverse=True)[:kept]]


def _word(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def of_results(results: Iterable[ReadResult], kept: int | None = None) -> list[Group]:
    """Return the groups of results, one for each request, the newest first; ``kept`` is as in ``Group.add``."""
    groups: dict[str, Group] = {}
    for result in results:
        group = groups.get(result.attempt.request)
        if group is None:
            group = groups[result.attempt.request] = Group(result.request)
        group.add(result.attempt, result.text, kept, result.images)
    return sorted(groups.values(), key=lambda group: max(group.attempts), reverse=True)
