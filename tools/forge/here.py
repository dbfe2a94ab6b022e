"""The forge that this process stands on."""

from __future__ import annotations

from collections.abc import Mapping

from runner.contract.errors import UsageError
from tools.forge import forges, github, gitlab
from tools.forge.forges import Forge


def of_environment(environment: Mapping[str, str], dry_run: bool = False) -> Forge:
    """Return the forge that the variables of a job name. Raises ``UsageError`` where they name none, or where one is missing."""
    kind = forges.kind(environment)
    if kind is None:
        raise UsageError(
            "no forge is known here: set GITHUB_REPOSITORY and GITHUB_TOKEN, or GitLab's CI_PROJECT_ID and a token."
        )
    return (
        github.of_environment(environment, dry_run) if kind == "github" else gitlab.of_environment(environment, dry_run)
    )
