"""Forges on loopback that answer as the documentation of GitHub's and of GitLab's REST API says, and record what they were asked.

GitHub (docs.github.com/en/rest): pull requests are listed by state, head and base, and a second one for the same head and base is
answered with 422; comments belong to issues and pull requests alike; check runs need the permission checks; lists have pages, named by
the header link; a call beyond the limit is answered with 403 and x-ratelimit-remaining 0, or with 429 and retry-after; without a token
401, without the permission 403 "Resource not accessible by integration", for what is not there 404.
GitLab (docs.gitlab.com/api): the same for merge requests, where a second one is answered with 409, notes, statuses of commits,
issues; a file of a job's artefacts is answered with its bytes.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from runner.contract.records import Json, JsonObject

TOKEN = "ghs_aTokenOfTheForgeThatNobodyMaySee"
PROJECT, PROJECT_ID, PIPELINE_ID = "team/bloomz-bench", "4711", "815"
BOT, BOT_ID = "github-actions[bot]", 7
MAX_COMMENT = 65_536
Kind = Literal["github", "gitlab"]

# What a job may do, as `permissions` of a workflow names it.
ALL = {"contents": "write", "pull-requests": "write", "issues": "write", "checks": "write"}


@dataclass(frozen=True)
class Call:
    """One request that the forge was asked: its method, its path without the address, its query, and the JSON that it brought."""

    method: str
    path: str
    query: dict[str, str]
    payload: JsonObject


@dataclass(frozen=True)
class Fault:
    """An answer in the place of the next one whose method and path match; ``does`` is whether the call is carried out all the same.

    A status of 0 closes the connection without an answer.
    """

    method: str
    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Json = None
    does: bool = False


class _Answer(Exception):
    def __init__(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


class Forge:
    """A forge of one project; a context manager.

    ``pulls``, ``issues``, ``comments`` and ``check_runs`` are what it keeps, in the form in which it answers; ``statuses`` are GitLab's.
    ``calls`` are all requests in their order. ``permissions`` are those of the token; ``faults`` are played once each.
    ``page_size`` is the most entries of a page, whatever a client asks for.
    """

    def __init__(self, kind: Kind = "github", page_size: int = 100) -> None:
        self.kind, self.page_size = kind, page_size
        self.permissions = dict(ALL)
        self.tokens = {TOKEN}
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.pulls: list[JsonObject] = []
        self.issues: list[JsonObject] = []
        self.comments: dict[int, list[JsonObject]] = {}
        self.check_runs: list[JsonObject] = []
        self.statuses: list[JsonObject] = []
        self.jobs: list[JsonObject] = []
        self.artefacts: dict[tuple[int, str], bytes] = {}
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1001)
        self.lock = threading.Lock()
        self._http = _Threads(("127.0.0.1", 0), _Handler)
        self._http.forge = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}" + ("/api/v4" if kind == "gitlab" else "")

    def __enter__(self) -> Forge:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def environment(self, token: str = TOKEN) -> dict[str, str]:
        """Return the variables that a job on this forge has."""
        if self.kind == "github":
            return {"GITHUB_API_URL": self.address, "GITHUB_REPOSITORY": PROJECT, "GITHUB_TOKEN": token}
        return {"CI_API_V4_URL": self.address, "CI_PROJECT_ID": PROJECT_ID, "BLOOMZ_BENCH_GITLAB_TOKEN": token}

    def changes(self) -> list[str]:
        """Return method and path of every request that was to change something."""
        return [f"{call.method} {call.path}" for call in self.calls if call.method != "GET"]

    def somebody_comments(self, number: int, body: str, login: str = "somebody") -> JsonObject:
        """Write a comment as a person does, and return it."""
        made = self._comment(body, login)
        self.comments.setdefault(number, []).append(made)
        return made

    def job_hands_on(self, name: str, folder: str, files: dict[str, bytes]) -> None:
        """Add a job to the one pipeline of GitLab, 815, and the files that it hands on below ``folder``."""
        made: JsonObject = {"id": next(self._ids), "name": name, "status": "success"}
        self.jobs.append(made)
        self.artefacts.update({(made["id"], f"{folder}/{path}"): content for path, content in files.items()})

    def answer(self, call: Call) -> tuple[int, Json | bytes, dict[str, str]]:
        """Return status, body and headers for a request that brought a token."""
        routes = _GITHUB if self.kind == "github" else _GITLAB
        for method, pattern, permission, handle in routes:
            match = re.fullmatch(pattern, call.path)
            if method != call.method or match is None:
                continue
            granted = self.permissions.get(permission, "none") if permission else "write"
            if granted == "none" or (granted == "read" and method != "GET"):
                return 403, {"message": "Resource not accessible by integration"}, {}
            try:
                status, body = handle(self, call, *match.groups())
            except _Answer as refusal:
                return refusal.status, refusal.body, refusal.headers
            if isinstance(body, list):
                return self._page(call, status, body)
            return status, body, {}
        return 404, {"message": "Not Found"}, {}

    def _page(self, call: Call, status: int, entries: list[Json]) -> tuple[int, Json, dict[str, str]]:
        size = min(int(call.query.get("per_page", "30" if self.kind == "github" else "20")), self.page_size)
        page = int(call.query.get("page", "1"))
        shown = entries[(page - 1) * size : page * size]
        headers = {}
        if page * size < len(entries):
            query = "&".join(f"{key}={value}" for key, value in {**call.query, "page": str(page + 1)}.items())
            headers["Link"] = (
                f'<{self.address}/{call.path}?{query}>; rel="next", <{self.address}/{call.path}?page=9>; rel="last"'
            )
        if call.path.endswith("/check-runs"):
            return status, {"total_count": len(entries), "check_runs": shown}, headers
        return status, shown, headers

    # --- GitHub ---

    def _list_pulls(self, call: Call) -> tuple[int, Json]:
        owner, _, branch = call.query["head"].partition(":")
        return 200, [
            pull
            for pull in self.pulls
            if pull["state"] == call.query["state"]
            and (pull["head"]["ref"], pull["head"]["user"]["login"]) == (branch, owner)
            and pull["base"]["ref"] == call.query["base"]
        ]

    def _open_pull(self, call: Call) -> tuple[int, Json]:
        head, base = call.payload["head"], call.payload["base"]
        if any(
            pull["state"] == "open" and (pull["head"]["ref"], pull["base"]["ref"]) == (head, base)
            for pull in self.pulls
        ):
            message = f"A pull request already exists for {PROJECT.partition('/')[0]}:{head}."
            raise _Answer(
                422,
                {
                    "message": "Validation Failed",
                    "errors": [{"resource": "PullRequest", "code": "custom", "message": message}],
                },
            )
        made: JsonObject = {
            "number": next(self._numbers), "state": "open", "title": call.payload["title"], "body": call.payload["body"],
            "head": {"ref": head, "user": {"login": PROJECT.partition("/")[0]}}, "base": {"ref": base},
            "user": {"login": BOT}, "maintainer_can_modify": call.payload["maintainer_can_modify"],
        }  # fmt: skip
        self.pulls.append(made)
        return 201, made

    def _update_pull(self, call: Call, number: str) -> tuple[int, Json]:
        pull = _one(self.pulls, "number", number)
        pull.update(call.payload)
        return 200, pull

    def _list_comments(self, call: Call, number: str) -> tuple[int, Json]:
        self._must_exist(number)
        return 200, [*self.comments.get(int(number), [])]

    def _write_comment(self, call: Call, number: str) -> tuple[int, Json]:
        self._must_exist(number)
        made = self._comment(call.payload["body"], BOT)
        self.comments.setdefault(int(number), []).append(made)
        return 201, made

    def _update_comment(self, call: Call, identity: str) -> tuple[int, Json]:
        found = _one([entry for entries in self.comments.values() for entry in entries], "id", identity)
        found["body"] = self._comment(call.payload["body"], BOT)["body"]
        return 200, found

    def _comment(self, body: str, login: str) -> JsonObject:
        if self.kind == "github" and len(body) > MAX_COMMENT:
            raise _Answer(
                422,
                {
                    "message": "Validation Failed",
                    "errors": [{"message": "body is too long (maximum is 65536 characters)"}],
                },
            )
        who: JsonObject = (
            {"login": login} if self.kind == "github" else {"id": BOT_ID if login == BOT else 99, "username": login}
        )
        return {"id": next(self._ids), "body": body, "user" if self.kind == "github" else "author": who}

    def _must_exist(self, number: str) -> None:
        if not any(entry["number"] == int(number) for entry in [*self.pulls, *self.issues]):
            raise _Answer(404, {"message": "Not Found"})

    def _list_check_runs(self, call: Call, commit: str) -> tuple[int, Json]:
        return 200, [
            run for run in self.check_runs if run["head_sha"] == commit and run["name"] == call.query["check_name"]
        ]

    def _create_check_run(self, call: Call) -> tuple[int, Json]:
        made: JsonObject = {"id": next(self._ids), "app": {"slug": "github-actions"}, **call.payload}
        self.check_runs.append(made)
        return 201, made

    def _update_check_run(self, call: Call, identity: str) -> tuple[int, Json]:
        found = _one(self.check_runs, "id", identity)
        found.update(call.payload)
        return 200, found

    def _list_issues(self, call: Call) -> tuple[int, Json]:
        # GitHub lists pull requests among the issues
        both = [*self.issues, *({**pull, "pull_request": {}} for pull in self.pulls)]
        return 200, [
            entry
            for entry in both
            if entry["state"] == call.query["state"] and entry["user"]["login"] == call.query["creator"]
        ]

    def _open_issue(self, call: Call) -> tuple[int, Json]:
        made: JsonObject = {"number": next(self._numbers), "state": "open", "user": {"login": BOT}, **call.payload}
        self.issues.append(made)
        return 201, made

    def _update_issue(self, call: Call, number: str) -> tuple[int, Json]:
        found = _one(self.issues, "number", number)
        found.update(call.payload)
        return 200, found

    # --- GitLab ---

    def _user(self, call: Call) -> tuple[int, Json]:
        return 200, {"id": BOT_ID, "username": "project_4711_bot"}

    def _list_merge_requests(self, call: Call) -> tuple[int, Json]:
        keys = ("state", "source_branch", "target_branch")
        return 200, [entry for entry in self.pulls if all(entry[key] == call.query[key] for key in keys)]

    def _open_merge_request(self, call: Call) -> tuple[int, Json]:
        keys = ("source_branch", "target_branch")
        for entry in self.pulls:
            if entry["state"] == "opened" and all(entry[key] == call.payload[key] for key in keys):
                raise _Answer(
                    409,
                    {"message": [f"Another open merge request already exists for this source branch: !{entry['iid']}"]},
                )
        made: JsonObject = {
            "iid": next(self._numbers),
            "state": "opened",
            "source_project_id": int(PROJECT_ID),
            **call.payload,
        }
        self.pulls.append(made)
        return 201, made

    def _update_merge_request(self, call: Call, number: str) -> tuple[int, Json]:
        found = _one(self.pulls, "iid", number)
        found.update(call.payload)
        return 200, found

    def _list_notes(self, call: Call, number: str) -> tuple[int, Json]:
        _one(self.pulls, "iid", number)
        return 200, [*self.comments.get(int(number), [])]

    def _write_note(self, call: Call, number: str) -> tuple[int, Json]:
        _one(self.pulls, "iid", number)
        made = self._comment(call.payload["body"], BOT)
        self.comments.setdefault(int(number), []).append(made)
        return 201, made

    def _update_note(self, call: Call, number: str, identity: str) -> tuple[int, Json]:
        found = _one(self.comments.get(int(number), []), "id", identity)
        found["body"] = call.payload["body"]
        return 200, found

    def _set_status(self, call: Call, commit: str) -> tuple[int, Json]:
        if call.payload["state"] not in ("pending", "running", "success", "failed", "canceled", "skipped"):
            raise _Answer(400, {"error": "state does not have a valid value"})
        if len(call.payload["description"]) > 255:
            raise _Answer(400, {"message": {"description": ["is too long (maximum is 255 characters)"]}})
        made: JsonObject = {"id": next(self._ids), "sha": commit, "status": call.payload["state"], **call.payload}
        self.statuses.append(made)
        return 201, made

    def _list_project_issues(self, call: Call) -> tuple[int, Json]:
        return 200, [
            entry for entry in self.issues
            if entry["state"] == call.query["state"] and str(entry["author"]["id"]) == call.query["author_id"]
        ]  # fmt: skip

    def _open_project_issue(self, call: Call) -> tuple[int, Json]:
        made: JsonObject = {"iid": next(self._numbers), "state": "opened", "author": {"id": BOT_ID}, **call.payload}
        self.issues.append(made)
        return 201, made

    def _update_project_issue(self, call: Call, number: str) -> tuple[int, Json]:
        found = _one(self.issues, "iid", number)
        found.update(call.payload)
        return 200, found

    def _list_jobs(self, call: Call, pipeline: str) -> tuple[int, Json]:
        return (200, [*self.jobs]) if pipeline == PIPELINE_ID else (404, {"message": "404 Not found"})

    def _artefact(self, call: Call, job: str, path: str) -> tuple[int, Json | bytes]:
        content = self.artefacts.get((int(job), path))
        return (200, content) if content is not None else (404, {"message": "404 Not found"})


def _one(entries: Iterable[JsonObject], key: str, value: str) -> JsonObject:
    for entry in entries:
        if entry[key] == int(value):
            return entry
    raise _Answer(404, {"message": "404 Not found"})


Handle = Callable[..., tuple[int, Json | bytes]]
_R = f"repos/{PROJECT}"
_P = f"projects/{PROJECT_ID}"
_N = r"([0-9]+)"
_SHA = r"([0-9a-f]{40})"

# Method, path, the permission that the call needs, and what carries it out.
_GITHUB: list[tuple[str, str, str, Handle]] = [
    ("GET", f"{_R}/pulls", "pull-requests", Forge._list_pulls),
    ("POST", f"{_R}/pulls", "pull-requests", Forge._open_pull),
    ("PATCH", f"{_R}/pulls/{_N}", "pull-requests", Forge._update_pull),
    ("GET", f"{_R}/issues/{_N}/comments", "pull-requests", Forge._list_comments),
    ("POST", f"{_R}/issues/{_N}/comments", "pull-requests", Forge._write_comment),
    ("PATCH", f"{_R}/issues/comments/{_N}", "pull-requests", Forge._update_comment),
    ("GET", f"{_R}/commits/{_SHA}/check-runs", "checks", Forge._list_check_runs),
    ("POST", f"{_R}/check-runs", "checks", Forge._create_check_run),
    ("PATCH", f"{_R}/check-runs/{_N}", "checks", Forge._update_check_run),
    ("GET", f"{_R}/issues", "issues", Forge._list_issues),
    ("POST", f"{_R}/issues", "issues", Forge._open_issue),
    ("PATCH", f"{_R}/issues/{_N}", "issues", Forge._update_issue),
]
_GITLAB: list[tuple[str, str, str, Handle]] = [
    ("GET", "user", "", Forge._user),
    ("GET", f"{_P}/merge_requests", "", Forge._list_merge_requests),
    ("POST", f"{_P}/merge_requests", "", Forge._open_merge_request),
    ("PUT", f"{_P}/merge_requests/{_N}", "", Forge._update_merge_request),
    ("GET", f"{_P}/merge_requests/{_N}/notes", "", Forge._list_notes),
    ("POST", f"{_P}/merge_requests/{_N}/notes", "", Forge._write_note),
    ("PUT", f"{_P}/merge_requests/{_N}/notes/{_N}", "", Forge._update_note),
    ("POST", f"{_P}/statuses/{_SHA}", "", Forge._set_status),
    ("GET", f"{_P}/pipelines/{_N}/jobs", "", Forge._list_jobs),
    ("GET", f"{_P}/jobs/{_N}/artifacts/(.+)", "", Forge._artefact),
    ("GET", f"{_P}/issues", "", Forge._list_project_issues),
    ("POST", f"{_P}/issues", "", Forge._open_project_issue),
    ("PUT", f"{_P}/issues/{_N}", "", Forge._update_project_issue),
]


class _Threads(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a client that waits no longer closes its side."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _forge(self) -> Forge:
        forge: Forge = self.server.forge  # type: ignore[attr-defined]
        return forge

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/api/v4").lstrip("/")
        call = Call(self.command, path, dict(parse_qsl(parts.query)), json.loads(raw) if raw else {})
        with self._forge.lock:
            self._forge.calls.append(call)
            given = self.headers.get("Authorization", "").removeprefix("Bearer ") or self.headers.get(
                "PRIVATE-TOKEN", ""
            )
            if given not in self._forge.tokens:
                return self._send(401, {"message": "Bad credentials"}, {})
            fault = next(
                (one for one in self._forge.faults if one.method == call.method and re.fullmatch(one.path, path)), None
            )
            if fault is None:
                return self._send(*self._forge.answer(call))
            self._forge.faults.remove(fault)
            if fault.does:
                self._forge.answer(call)
        if fault.status == 0:
            self.close_connection = True
            return None
        return self._send(fault.status, fault.body, fault.headers)

    do_GET = do_POST = do_PATCH = do_PUT = _any  # noqa: N815 - the names that http.server calls

    def _send(self, status: int, body: Json | bytes, headers: dict[str, str]) -> None:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)
