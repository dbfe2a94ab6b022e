"""Ask the model hub for revisions and files, over HTTP with the user's token and endpoint as ``huggingface_hub`` knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.contract import patterns
from runner.contract.errors import InputError, Unreachable
from runner.contract.records import Json
from runner.host.pins import web
from runner.host.pins.answers import FOR_PEOPLE, day_of, json_of, of_form

RepositoryKind = Literal["model", "dataset"]

MAX_PAGES_OF_COMMITS = 50


@dataclass(frozen=True)
class Head:
    """The newest revision of a repository's main, and its day in UTC, such as 2026-11-20; None where the hub does not say the day."""

    revision: str
    day: str | None


def head(kind: RepositoryKind, repository: str) -> Head:
    """Return the newest revision of main. Raises ``InputError`` where there is no such repository, ``Unreachable``."""
    what = f"the hub, for {repository}"
    commits, _ = _get(f"{_address(kind, repository)}/commits/main", what)
    newest = commits[0] if isinstance(commits, list) and commits else None
    if not isinstance(newest, dict):
        raise Unreachable(f"{what}: its answer lists no commits")
    return Head(of_form(patterns.COMMIT, newest.get("id"), what), day_of(newest.get("date")))


def revision_of(kind: RepositoryKind, repository: str, short: str) -> str | None:
    """Return the full revision of a repository that begins with ``short``, None where no commit of main does.

    Raises ``InputError`` where there is no such repository, ``Unreachable`` where the hub does not answer with commits.
    """
    what = f"the hub, for {repository}"
    page = f"{_address(kind, repository)}/commits/main"
    for _ in range(MAX_PAGES_OF_COMMITS):
        commits, following = _get(page, what)
        if not isinstance(commits, list):
            raise Unreachable(f"{what}: its answer lists no commits")
        for commit in commits:
            revision = commit.get("id") if isinstance(commit, dict) else None
            if not isinstance(revision, str):
                raise Unreachable(f"{what}: its answer lists no commits")
            if revision.startswith(short):
                return of_form(patterns.COMMIT, revision, what)
        if following is None:
            return None
        page = following
    raise Unreachable(f"{what}: it lists more commits than are read. Write the whole revision into versions.lock")


def large_files(kind: RepositoryKind, repository: str, revision: str) -> dict[str, str]:
    """Return name to sha256 of the large files of a repository at a revision, as the hub's storage knows them.

    Raises ``InputError`` where there is no such revision, ``Unreachable`` where the hub does not answer with files.
    """
    what = f"the hub, for {repository}"
    answer, _ = _get(f"{_address(kind, repository)}/revision/{revision}?blobs=true", what)
    listed = answer.get("siblings") if isinstance(answer, dict) else None
    if not isinstance(listed, list) or not all(isinstance(file, dict) for file in listed):
        raise Unreachable(f"{what}: its answer lists no files")
    files = {}
    for file in listed:
        stored = file.get("lfs")
        if isinstance(stored, dict):
            name = of_form(patterns.FILE_PATH, file.get("rfilename"), what)
            files[name] = of_form(patterns.SHA256, stored.get("sha256"), what)
    return files


def has_revision(kind: RepositoryKind, repository: str, revision: str) -> bool:
    """Return whether the hub has a repository at a revision. Raises ``Unreachable`` where the hub does not answer."""
    try:
        _get(f"{_address(kind, repository)}/revision/{revision}", f"the hub, for {repository}")
    except InputError:
        return False
    return True


def endpoint() -> str:
    """Return the address of the user's hub."""
    import huggingface_hub.constants

    address: str = huggingface_hub.constants.ENDPOINT
    return address


def _address(kind: RepositoryKind, repository: str) -> str:
    return f"{endpoint()}/api/{kind}s/{repository}"


def _get(address: str, what: str) -> tuple[Json, str | None]:
    """Return the JSON at an address of the hub, and the address of the next page or None."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers

    if constants.HF_HUB_OFFLINE:
        raise Unreachable(f"{what}: HF_HUB_OFFLINE is set")
    try:
        answer = web.get(address, what, accept="application/json", headers=build_hf_headers())
    except web.LoginAsked as problem:
        # The hub answers 401 for a repository that is not there, so that nobody learns which repositories are private.
        if problem.code == 401 and problem.error_code in ("", "RepoNotFound") and "credentials" not in problem.words:
            raise InputError(
                f"{what}: there is none, or it is private and HF_TOKEN is not set ({problem.words})"
            ) from None
        raise
    if answer.is_page:
        raise Unreachable(f"{what}: {FOR_PEOPLE}")
    return json_of(answer.body, what), answer.following
