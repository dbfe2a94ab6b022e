"""Say how a run ended: what was seen in, an error or a line of progress out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract.errors import ClusterRefused, DamagedResult, JobFailed, KitError, NotStarted, ResultLost
from runner.contract.records import JsonObject
from runner.contract.termination import Summary
from runner.contract.text import printable
from runner.host.cluster.image_ids import StartedImage
from runner.host.cluster.logs import Frames
from runner.host.cluster.runs import FollowedRun
from runner.host.diagnosis import Observed, Problem, stages
from runner.host.diagnosis.stages import Stage
from runner.host.objects.collect_job import collect_job
from runner.host.objects.pods import any_started, published_summaries


@dataclass(frozen=True)
class Conclusion:
    """The report on a run that ended: ``lines`` of progress and an ``error``, None where its results are whole here.

    ``lost`` holds what the pods' termination messages tell of results that could not be taken, by attempt.
    """

    error: KitError | None
    lines: tuple[str, ...] = ()
    lost: Mapping[str, Summary] = field(default_factory=dict)


def lacks_results(stage: Stage, observed: Observed, frames: Frames) -> bool:
    """Return whether a measuring run that ended may have results that its logs do not hold whole."""
    published: Mapping[str, Summary] | None = published_summaries(observed.pods)
    # the pods of a run that is complete or gone may be gone too
    started = any_started(observed.pods) or stage.word in (stages.GONE, stages.COMPLETE)
    # an empty termination message of a failed run says that the run published nothing
    if stage.word == stages.FAILED and published == {}:
        started = False
    return started and bool(frames.broken or not frames.whole or (published or {}).keys() - frames.whole.keys())


def conclude(
    run: FollowedRun,
    stage: Stage,
    problem: Problem | None,
    observed: Observed,
    frames: Frames,
    follow_command: str,
    partial_path: Path,
) -> Conclusion:
    """Return how a run ended that does not collect for another: its results whole here, some of them lost, or a failure.

    ``partial_path`` is the file that ``Conclusion.lost`` will be written to.
    """
    lines = [*_image_lines(run, observed), *_whole_lines(run, frames)]
    published: Mapping[str, Summary] = published_summaries(observed.pods) or {}
    lost = {attempt: summary for attempt, summary in published.items() if attempt not in frames.whole}
    if stage.word == stages.FAILED:
        reason = problem or "the Job failed and nothing says why."
        return Conclusion(JobFailed(f"{run.name}: {reason} Evidence: {run.folder}."), tuple(lines))
    if not run.measures or (frames.whole and not lost):
        return Conclusion(None, tuple(lines))
    tried = "neither from the log nor from the volume"
    if collect_job(run.manifest) is None:
        tried = "not from the log, and there is no volume"
    again = f"`{follow_command}` tries once more"
    if not lost:
        return Conclusion(ResultLost(f"{run.name}: its result could be taken {tried}; {again}."), tuple(lines))
    error = ResultLost(
        f"{run.name}: {', '.join(sorted(lost))} could be taken {tried}; the pod's last words, a summary and no result, are in"
        f" {partial_path}; {again}."
    )
    return Conclusion(error, tuple(lines), lost)


def _whole_lines(run: FollowedRun, frames: Frames) -> list[str]:
    if not frames.whole:
        return []
    number, attempts = len(frames.whole), ", ".join(sorted(frames.whole))
    return [f"{run.name}: {number} whole result{'s' if number > 1 else ''} in its log: {attempts}."]


def _image_lines(run: FollowedRun, observed: Observed) -> list[str]:
    """Return the line that says why the image that ran cannot be compared with the one that was asked for, if that is so."""
    images = run.started_images(observed.pods)
    unknown = next((image for image in images if image.digest is None), None)
    if unknown is not None:
        return [
            f"{run.name}: the image of {unknown.container} came from no registry ({printable(unknown.reported, 100)}), so that it"
            " cannot be compared with the digest that was asked for."
        ]
    by_tag = {image.tag: image.asked for image in images if image.tag is not None}
    if by_tag:
        return [f"{run.name}: {printable(tag, 300)} was sha256:{digest}." for tag, digest in by_tag.items()]
    if any_started(observed.pods) and not images:
        return [f"{run.name}: its node does not say which image ran; it cannot be compared with what was asked for."]
    return []


def foreign_image(run: FollowedRun, pods: Sequence[JsonObject]) -> StartedImage | None:
    """Return the first image of a run that is another than the one that was asked for, None where all that is known agrees."""
    images = run.started_images(pods)
    return next((image for image in images if image.foreign), None)


def foreign_image_sentence(image: StartedImage) -> str:
    """Return what runs in the place of the image that was asked for, without a full stop."""
    other = "was asked for"
    if image.tag is not None:
        other = f"came by the same tag, {printable(image.tag, 300)}, to the container before it"
    return (
        f"the container {image.container} of {image.pod} runs the image {printable(image.reported, 300)}, and sha256:{image.asked}"
        f" {other}"
    )


def refused_for_image(run: FollowedRun, image: StartedImage, cancel_command: str) -> DamagedResult:
    """Return the error of a run that runs a foreign image."""
    return DamagedResult(
        f"{run.name}: {foreign_image_sentence(image)}: what it measures is not taken. Find out what puts another image in its place,"
        f" a registry's mirror or an admission rule; `{cancel_command}` ends it."
    )


def given_up(run: FollowedRun, stage: Stage, problem: Problem, follow_command: str, cancel_command: str) -> KitError:
    """Return the error of a run that did not start in time and stays in the cluster."""
    refused = problem.wait is None and stage.wait == "refused"
    kind = ClusterRefused if refused else NotStarted
    return kind(
        f"{run.name}: {problem} It stays in the cluster: `{follow_command}` goes on, `{cancel_command}` ends it."
    )
