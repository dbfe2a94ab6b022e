"""GitLab's REST API, version 4.

Sources, all at docs.gitlab.com/api: "Merge requests API" (list by source and target branch; 409 where one is open already; update),
"Notes API" (notes of merge requests), "Commits API", "Set commit pipeline status" (a status of the same name replaces the one before;
the description has at most 255 characters), "Issues API", "Users API" (GET /user); "Jobs API" (the jobs of a pipeline, each name once
unless retried ones are asked for), "Job artifacts API" (a single file by the id of the job). The token of a job (CI_JOB_TOKEN) may call
none of these: a project access token with the scope api is needed.
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

# GitLab has no neutral status of a commit. "skipped" neither passes nor fails a pipeline.
# Source: gitlab.com/gitlab-org/gitlab, merge request 168350, which lets the API set it.
STATES: dict[Conclusion, str] = {"success": "success", "failure": "failed", "neutral": "skipped"}
MAX_DESCRIPTION = 255
TOKEN = "BLOOMZ_BENCH_GITLAB_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class GitLab:
    """A project of GitLab, by its numeric id."""

    api: Api
    project: str

    def pull_request(self, wanted: PullRequest) -> int:
        """Open the merge request of a branch, or update the open one; return its number within the project."""
        return transport.again(lambda: self._merge_request(wanted), self.api)

    def _merge_request(self, wanted: PullRequest) -> int:
        number = self._open_merge_request(wanted)
        text: JsonObject = {"title": wanted.title, "description": forges.shortened(wanted.body)}
        if number is None:
            payload: JsonObject = {**text, "source_branch": wanted.branch, "target_branch": wanted.base}
            payload["remove_source_branch"] = True
            try:
                made = self.api.change("POST", f"projects/{self.project}/merge_requests", payload)
                return 0 if self.api.dry_run else transport.number_of(made, "iid")
            except transport.Refused as refusal:
                # a run beside this one was faster
                number = self._open_merge_request(wanted) if refusal.status == 409 else None
                if number is None:
                    raise
        self.api.change("PUT", f"projects/{self.project}/merge_requests/{number}", text)
        return number

    def _open_merge_request(self, wanted: PullRequest) -> int | None:
        query = {"state": "opened", "source_branch": wanted.branch, "target_branch": wanted.base}
        for found in self.api.pages(f"projects/{self.project}/merge_requests", **query):
            # a fork's branch may have the same name
            if str(found.get("source_project_id")) == self.project:
                return transport.number_of(found, "iid")
        return None

    def comment(self, number: int, marker: str, body: str) -> int:
        """Write or update the one note with ``marker``; return its id."""
        return transport.again(lambda: self._note(number, marker, body), self.api)

    def _note(self, number: int, marker: str, body: str) -> int:
        text: JsonObject = {"body": forges.marked(marker, body)}
        path = f"projects/{self.project}/merge_requests/{number}/notes"
        own = self._own_id()
        for found in self.api.pages(path):
            if _author_id(found) == own and forges.carries(found.get("body"), marker):
                identity = transport.number_of(found, "id")
                self.api.change("PUT", f"{path}/{identity}", text)
                return identity
        made = self.api.change("POST", path, text)
        return 0 if self.api.dry_run else transport.number_of(made, "id")

    def check_run(self, name: str, commit: str, conclusion: Conclusion, title: str, summary: str) -> int:
        """Set the status of a commit under a name; a status holds the title alone, and a summary stands in the comment."""
        del summary
        state: JsonObject = {"state": STATES[conclusion], "name": name, "description": title[:MAX_DESCRIPTION]}

        def operation() -> int:
            made = self.api.change("POST", f"projects/{self.project}/statuses/{commit}", state)
            return 0 if self.api.dry_run else transport.number_of(made, "id")

        return transport.again(operation, self.api)

    def issue(self, marker: str, title: str, body: str) -> int:
        """Open the one issue with ``marker``, or update the open one; return its number within the project."""
        return transport.again(lambda: self._issue(marker, title, body), self.api)

    def _issue(self, marker: str, title: str, body: str) -> int:
        text: JsonObject = {"title": title, "description": forges.marked(marker, body)}
        path = f"projects/{self.project}/issues"
        own = self._own_id()
        for found in self.api.pages(path, state="opened", author_id=str(own)):
            if _author_id(found) == own and forges.carries(found.get("description"), marker):
                number = transport.number_of(found, "iid")
                self.api.change("PUT", f"{path}/{number}", text)
                return number
        made = self.api.change("POST", path, text)
        return 0 if self.api.dry_run else transport.number_of(made, "iid")

    def handed_on(self, pipeline: int, job: str, path: str, max_bytes: int) -> bytes | None:
        """Return the bytes of a file among the artefacts of a pipeline's job, None where the job has handed no such file on.

        Raises ``DamagedResult`` for a file of more than ``max_bytes``.
        """
        for found in self.api.pages(f"projects/{self.project}/pipelines/{pipeline}/jobs"):
            if found.get("name") == job:
                identity = transport.number_of(found, "id")
                return self.api.file(f"projects/{self.project}/jobs/{identity}/artifacts/{path}", max_bytes)
        return None

    def _own_id(self) -> int:
        body = self.api.get("user").body
        return transport.number_of(body if isinstance(body, dict) else {}, "id")


def _author_id(found: JsonObject) -> object:
    author = found.get("author")
    return author.get("id") if isinstance(author, dict) else None


def of_environment(environment: Mapping[str, str], dry_run: bool) -> GitLab:
    """Return the project of CI_PROJECT_ID, reached with the token of ``TOKEN``. Raises ``UsageError`` for what is missing or wrong."""
    project, token = environment.get("CI_PROJECT_ID", ""), environment.get(TOKEN, "")
    if not patterns.NUMBER.fullmatch(project):
        raise UsageError("CI_PROJECT_ID must be the number of a project. GitLab sets it in every job.")
    if not token:
        raise UsageError(
            f"{TOKEN} is empty. Make a project access token with the scope api, and a masked, protected variable."
        )
    secrets.remember(token)
    address = environment.get("CI_API_V4_URL") or "https://gitlab.com/api/v4"
    headers = {"Accept": "application/json", "PRIVATE-TOKEN": token, "User-Agent": "bloomz-bench"}
    return GitLab(Api(address.rstrip("/"), headers, dry_run=dry_run), project)
