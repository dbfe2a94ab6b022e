"""Take the meaning out of Markdown that a forge would act on, since code that nobody trusts may have written the Markdown.

GitHub and GitLab look for names and numbers in the page that they make of the Markdown, after they have read its entities: ``&#64;team``
calls the team as ``@team`` does. GitLab also carries out a line that begins with ``/`` as a command of the one who wrote it.
Sources: docs.github.com, "Autolinked references and URLs" and "Basic writing and formatting syntax"; docs.gitlab.com, "GitLab Flavored
Markdown" (GitLab-specific references) and "GitLab quick actions"; spec.commonmark.org (entities, raw HTML, link reference definitions).
"""

from __future__ import annotations

import re

from runner.contract.secrets import mask
from runner.contract.text import visible

# Each sign is replaced by its wide form of Unicode, which looks alike and means nothing to a forge, in a block of code too.
_SIGNS = (
    # a person or a team; image@sha256:... is neither
    (re.compile(r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9_])"), "\uff20"),
    # an issue, by its number or address, here or in another project, where a line would say that it was mentioned
    (re.compile(r"#(?=[0-9])"), "\uff03"),
    (re.compile(r"(?:(?<=\bGH)|(?<=\bGL))-(?=[0-9])", re.IGNORECASE), "\uff0d"),
    (
        re.compile(r"\b(issues|pulls?|merge_requests|discussions|epics|work_items)/(?=[0-9])", re.IGNORECASE),
        "\\1\uff0f",
    ),
    # an image, which whoever reads the page fetches, or a merge request of GitLab
    (re.compile(r"!(?=[\[0-9])"), "\uff01"),
    # an entity, which is read before names and numbers are looked for, or an epic of GitLab
    (re.compile(r"&(?=[#A-Za-z0-9])"), "\uff06"),
    # HTML, a comment of HTML too, but for what folds text
    (re.compile(r"<(?!/?(?:details|summary)>)(?=\s*[A-Za-z/!?])"), "\uff1c"),
    # the target of a link, which no page shows
    (re.compile(r"(?<=\]):"), "\uff1a"),
    # a command of GitLab
    (re.compile(r"^([ \t>]*)/(?=[A-Za-z])", re.MULTILINE), "\\1\uff0f"),
)
# A line that is a comment of HTML: bump-check begins its own with one. Any other comment of HTML is shown.
_MARKER = re.compile(r"^<!--[^\n]{0,200}?-->[ \t]*(?:\n|\Z)", re.MULTILINE)


def harmless(text: str) -> str:
    """Return Markdown that calls nobody, fetches nothing, names no issue, hides nothing and commands nothing; secrets are masked."""
    shown = visible(mask(text.replace("\r\n", "\n")), kept="\n\t")
    shown = _MARKER.sub("", shown)
    for sign, harmless_sign in _SIGNS:
        shown = sign.sub(harmless_sign, shown)
    return shown
