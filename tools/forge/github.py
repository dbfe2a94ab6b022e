"""GitHub's REST API, version 2022-11-28.

Sources, all at docs.github.com/en/rest: "REST API endpoints for pull requests" (list by head and base, create: 422 where one is open
already, update), "REST API endpoints for issue comments", "REST API endpoints for check runs" (a GitHub App's token alone may write,
and the token of a workflow is one), "REST API endpoints for issues" (a pull request is listed as an issue, with the key pull_request).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.contract import patterns, secrets
from runner.contract.errors import UsageError
from runner.contract.records import JsonObject
from tools.forge import forges, transport
from tools.forge.forges import Conclusion, PullRequest
from tools.forge.transport import Api

VERSION = "2022-11-28"
# Who writes with the token of a workflow (GITHUB_TOKEN).
WORKFLOW = "github-actions[bot]"
_PROJECT = patterns.HUB_REPOSITORY


@dataclass(frozen=True)
class GitHub:
    """A repository of GitHub. ``author`` is the login that writes with the token: texts of others are never taken for the kit's own."""

    api: Api
    project: str
    author: str = WORKFLOW

    def pull_request(self, wanted: PullRequest) -> int:
        """Open the pull request of a branch, or update the open one; return its number."""
        return transport.again(lambda: self._pull_request(wanted), self.api)

    def _pull_request(self, wanted: PullRequest) -> int:
        number = self._open_pull_request(wanted)
        text: JsonObject = {"title": wanted.title, "body": forges.shortened(wanted.body)}
        if number is None:
            payload: JsonObject = {**text, "head": wanted.branch, "base": wanted.base, "maintainer_can_modify": False}
            try:
                made = self.api.change("POST", f"repos/{self.project}/pulls", payload)
                return 0 if self.api.dry_run else transport.number_of(made, "number")
            except transport.Refused as refusal:
                # a run beside this one was faster
                number = self._open_pull_request(wanted) if refusal.status == 422 else None
                if number is None:
                    raise
        self.api.change("PATCH", f"repos/{self.project}/pulls/{number}", text)
        return number

    def _open_pull_request(self, wanted: PullRequest) -> int | None:
        # the owner keeps pull requests of forks with a branch of this name apart
        head = f"{self.project.partition('/')[0]}:{wanted.branch}"
        found = list(self.api.pages(f"repos/{self.project}/pulls", state="open", head=head, base=wanted.base))
        return transport.number_of(found[0], "number") if found else None

    def comment(self, number: int, marker: str, body: str) -> int:
        """Write or update the one comment with ``marker``; return its id."""
        return transport.again(lambda: self._comment(number, marker, body), self.api)

    def _comment(self, number: int, marker: str, body: str) -> int:
        text: JsonObject = {"body": forges.marked(marker, body)}
        for found in self.api.pages(f"repos/{self.project}/issues/{number}/comments"):
            if self._is_own(found) and forges.carries(found.get("body"), marker):
                identity = transport.number_of(found, "id")
                self.api.change("PATCH", f"repos/{self.project}/issues/comments/{identity}", text)
                return identity
        made = self.api.change("POST", f"repos/{self.project}/issues/{number}/comments", text)
        return 0 if self.api.dry_run else transport.number_of(made, "id")

    def check_run(self, name: str, commit: str, conclusion: Conclusion, title: str, summary: str) -> int:
        """Create the check run of a commit, or update the one of this name; return its id."""
        return transport.again(lambda: self._check_run(name, commit, conclusion, title, summary), self.api)

    def _check_run(self, name: str, commit: str, conclusion: Conclusion, title: str, summary: str) -> int:
        state: JsonObject = {
            "status": "completed",
            "conclusion": conclusion,
            "output": {"title": title, "summary": forges.shortened(summary)},
        }
        path = f"repos/{self.project}/commits/{commit}/check-runs"
        for found in self.api.pages(path, within="check_runs", check_name=name, filter="latest"):
            if _slug(found) == WORKFLOW.partition("[")[0]:
                identity = transport.number_of(found, "id")
                self.api.change("PATCH", f"repos/{self.project}/check-runs/{identity}", state)
                return identity
        made = self.api.change("POST", f"repos/{self.project}/check-runs", {"name": name, "head_sha": commit, **state})
        return 0 if self.api.dry_run else transport.number_of(made, "id")

    def issue(self, marker: str, title: str, body: str) -> int:
        """Open the one issue with ``marker``, or update the open one; return its number."""
        return transport.again(lambda: self._issue(marker, title, body), self.api)

    def _issue(self, marker: str, title: str, body: str) -> int:
        text: JsonObject = {"title": title, "body": forges.marked(marker, body)}
        for found in self.api.pages(f"repos/{self.project}/issues", state="open", creator=self.author):
            if "pull_request" not in found and self._is_own(found) and forges.carries(found.get("body"), marker):
                number = transport.number_of(found, "number")
                self.api.change("PATCH", f"repos/{self.project}/issues/{number}", text)
                return number
        made = self.api.change("POST", f"repos/{self.project}/issues", text)
        return 0 if self.api.dry_run else transport.number_of(made, "number")

    def _is_own(self, found: JsonObject) -> bool:
        user = found.get("user")
        return isinstance(user, dict) and user.get("login") == self.author


def _slug(check_run: JsonObject) -> object:
    app = check_run.get("app")
    return app.get("slug") if isinstance(app, dict) else None


def of_environment(environment: Mapping[str, str], dry_run: bool) -> GitHub:
    """Return the repository that GITHUB_REPOSITORY names, reached with GITHUB_TOKEN. Raises ``UsageError`` for what is missing or wrong."""
    project, token = environment.get("GITHUB_REPOSITORY", ""), environment.get("GITHUB_TOKEN", "")
    if "/" not in project or not _PROJECT.fullmatch(project):
        raise UsageError("GITHUB_REPOSITORY must name a repository, such as team/bloomz-bench. Set it.")
    if not token:
        raise UsageError(
            "GITHUB_TOKEN is empty. Give the step the job's token: env: GITHUB_TOKEN: ${{ github.token }}."
        )
    secrets.remember(token)
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
        "User-Agent": "bloomz-bench",
        "X-GitHub-Api-Version": VERSION,
    }
    address = environment.get("GITHUB_API_URL") or "https://api.github.com"
    author = environment.get("BLOOMZ_BENCH_FORGE_AUTHOR") or WORKFLOW
    return GitHub(Api(address.rstrip("/"), headers, dry_run=dry_run), project, author)
