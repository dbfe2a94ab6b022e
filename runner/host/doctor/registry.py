"""The registry that images would be pushed to."""

from __future__ import annotations

from collections.abc import Sequence

from runner.contract.errors import Unreachable
from runner.contract.text import printable
from runner.host.doctor.findings import Answer, LastLook, Look, not_ready, ready, untold, warning
from runner.host.images import logins, registry
from runner.host.images.logins import Login
from runner.host.images.registry import Service


class Registry:
    """The looks at one registry, in order; ``team`` is REGISTRY/TEAM, ``stacks`` are those whose images would be pushed."""

    def __init__(self, team: str, stacks: Sequence[str]) -> None:
        self._team = team.rstrip("/")
        self._registry = self._team.partition("/")[0]
        # one repository stands for all: they differ in the last part of their names
        self._repository = f"{self._team}/bloomz-bench-{stacks[0]}"
        self._service: Service | None = None
        self._login: Login | None = None

    def looks(self) -> list[Look]:
        """Return the looks: each needs what the looks before it found."""
        return [
            Look("registry", f"registry {printable(self._registry, 60)}", self.reachable),
            Look("registry", "login", self.login),
            Look("registry", "push", self.writable),
        ]

    def reachable(self) -> Answer:
        """Say whether the registry answers. Raises ``LastLook`` where it does not."""
        try:
            self._service = registry.reach(self._registry)
        except Unreachable as problem:
            raise LastLook(
                not_ready(str(problem), "Check its name and port, the network and the proxy (HTTPS_PROXY).")
            ) from None
        if not self._service.is_encrypted:
            return warning(
                "It answers without TLS.",
                f"buildah and podman take it once registries.conf has insecure = true for {self._registry}.",
            )
        return ready("It answers over TLS.")

    def login(self) -> Answer:
        """Say whether there is a login for the registry."""
        assert self._service is not None
        self._login = logins.login_of(self._repository)
        if self._login is not None:
            return ready(f"{printable(self._login.user, 60)}, of {self._login.file}.")
        if self._service.challenge:
            return not_ready("It asks for a login, and no file has one.", f"`buildah login {self._registry}`.")
        return ready("None is there, and it asks for none.")

    def writable(self) -> Answer:
        """Say whether a push would be taken. Nothing is pushed."""
        assert self._service is not None
        answer = registry.may_push(self._service, self._repository, self._login)
        finding = f"{answer.words[:1].upper()}{answer.words[1:]}."
        remedies = {
            "no login": f"`buildah login {self._registry}` as a user who may push to {self._team}.",
            "refused": f"Ask the owner of {self._team} for the right to push, or name another place.",
            "unknown": "The first push tells.",
            "in clear text": "Have the registry speak TLS: a push would send the login in clear text too.",
        }
        if answer.verdict == "granted":
            return ready(finding)
        return (untold if answer.verdict in ("unknown", "in clear text") else not_ready)(
            finding, remedies[answer.verdict]
        )
