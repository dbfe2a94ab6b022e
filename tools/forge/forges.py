"""What every forge can do here, and which forge this process stands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

# What a check run says of a verdict: PASS, FAIL or INCONCLUSIVE.
Conclusion = Literal["success", "failure", "neutral"]
CONCLUSIONS: tuple[Conclusion, ...] = get_args(Conclusion)

# In characters, the smaller of both forges: a comment of GitHub has at most 65,536, and a marker is put before the text.
MAX_BODY = 60_000
MAX_TITLE = 200

CUT = "\n\n(cut here: the forge takes no more; the whole text is an artefact of the run)\n"


@dataclass(frozen=True)
class PullRequest:
    """A pull request, a merge request on GitLab: ``branch`` is to go into ``base``; ``body`` is Markdown."""

    branch: str
    base: str
    title: str
    body: str


class Forge(Protocol):
    """A forge. Each call is idempotent: a second call with the same arguments makes no second thing, and updates the first.

    Every call raises ``Refused`` where the forge says no, and ``Unreachable`` where the forge does not answer.
    """

    def pull_request(self, wanted: PullRequest) -> int:
        """Open the pull request of a branch, or update the title and text of the one that is open; return its number."""

    def comment(self, number: int, marker: str, body: str) -> int:
        """Write the one comment of a pull request that carries ``marker``, or update it; return the comment's id."""

    def check_run(self, name: str, commit: str, conclusion: Conclusion, title: str, summary: str) -> int:
        """Say of a commit how a check ended, under the check's name; return the id of what says so."""

    def issue(self, marker: str, title: str, body: str) -> int:
        """Open the one issue that carries ``marker``, or update the open one; return its number."""


def marker_line(marker: str) -> str:
    """Return the first line of a text that belongs to ``marker``: a comment of HTML, which no forge shows."""
    return f"<!-- bloomz-bench: {marker} -->"


def marked(marker: str, body: str) -> str:
    """Return a text with the line of its marker before it, cut to what a forge takes."""
    return f"{marker_line(marker)}\n{shortened(body)}"


def shortened(body: str, limit: int = MAX_BODY) -> str:
    """Return at most ``limit`` characters of a text; a cut text says so."""
    return body if len(body) <= limit else body[: limit - len(CUT)] + CUT


def carries(body: object, marker: str) -> bool:
    """Return whether a text of the forge belongs to ``marker``: its first line is the marker's.

    A marker further down is a quotation, or was put there by what ran.
    """
    return isinstance(body, str) and body.replace("\r\n", "\n").split("\n", 1)[0] == marker_line(marker)


def kind(environment: Mapping[str, str]) -> Literal["github", "gitlab"] | None:
    """Return which forge runs this job, by the variables that the forge sets; None outside of a job."""
    if environment.get("GITHUB_REPOSITORY"):
        return "github"
    return "gitlab" if environment.get("CI_PROJECT_ID") else None
