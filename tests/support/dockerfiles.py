"""The kit's own rules for Dockerfiles and the scripts that they run: rules that no linter has.

Each rule takes the text of a file and returns lines that say what is wrong in it, none where nothing is.
"""

from __future__ import annotations

import re

# Programs that bring in bytes which no lock knows.
FETCHERS = r"(^|[;&|(\s])(apt|apt-get|dpkg|apk|yum|dnf|microdnf|curl|wget|git|conda|npm)\s"

PIP_FORM = (
    "--no-index", '--find-links "$context/wheels"', "--require-hashes", "--no-deps", "--ignore-installed", "--no-compile",
)  # fmt: skip


def instructions(text: str) -> list[tuple[str, str]]:
    """Return (word, rest) of each instruction, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = []
    for line in joined.splitlines():
        if line.strip():
            word, rest = line.split(None, 1)
            pairs.append((word, rest))
    return pairs


def base_is_an_argument(text: str) -> list[str]:
    """Every base image is an argument without a default, which the builder fills with a digest of versions.lock."""
    problems = []
    known: set[str] = set()
    stages: set[str] = set()
    for word, rest in instructions(text):
        if word == "ARG" and not stages:
            known.add(rest)
        if word == "FROM":
            image, *named = rest.split()
            if image not in {f"${{{name}}}" for name in known} | stages:
                problems.append(f"FROM {image}: name it by an argument that has no default")
            stages.update(named[1:])
        if word == "COPY" and (source := re.search(r"--from=(\S+)", rest)) and source[1] not in stages:
            problems.append(f"COPY --from={source[1]}: copy from a stage of this file")
    return problems


def nothing_is_fetched(text: str) -> list[str]:
    """No package manager, no download: everything lies in the context."""
    problems = [
        f"{word} {rest}: fetches" for word, rest in instructions(text) if word == "RUN" and re.search(FETCHERS, rest)
    ]
    return problems + [f"{word} {rest}: use COPY" for word, rest in instructions(text) if word == "ADD"]


def no_version(text: str) -> list[str]:
    """No version and no digest stands outside versions.lock, in no comment either."""
    return [
        f"{line.strip()}: a version"
        for line in text.splitlines()
        if re.search(r"\d+\.\d+|sha256:[0-9a-f]|@[0-9a-f]{12}", line)
    ]


def last_stage_only_copies(text: str) -> list[str]:
    """The last stage runs nothing, so that its layers hold what was copied and no trace of a run; it ends as a plain user."""
    words = instructions(text)
    last = words[max(index for index, (word, _) in enumerate(words) if word == "FROM") :]
    problems = [
        f"{word} {rest}: in the last stage"
        for word, rest in last
        if word in ("RUN", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD")
    ]
    users = [rest for word, rest in last if word == "USER"]
    if not users or not re.fullmatch(r"[1-9][0-9]{3,}:[1-9][0-9]{3,}", users[-1]):
        problems.append("USER: a number that is not root's, with its group")
    if [rest for word, rest in last if word == "ENTRYPOINT"] != ['["python", "-m", "runner", "bench"]']:
        problems.append("ENTRYPOINT: the verb bench, as a list")
    return problems


def writes_are_mounted(text: str) -> list[str]:
    """The software writes below /tmp alone, whoever runs it."""
    (variables,) = [rest for word, rest in instructions(text) if word == "ENV" and "HOME=" in rest] or [""]
    folders = dict(part.split("=", 1) for part in variables.split())
    bounded = ("HOME", "XDG_CACHE_HOME", "PYTHONPYCACHEPREFIX", "TORCH_EXTENSIONS_DIR")
    return [f"{name}: below /tmp" for name in bounded if not (folders.get(name, "") + "/").startswith("/tmp/")]


def pip_has_one_form(text: str) -> list[str]:
    """install.sh calls ``pip install`` in one place, with every flag of the one form."""
    calls = [line for line in commands(text) if re.search(r"pip\S* install|-m pip", line)]
    problems = [f"{line.strip()}: a second form of pip" for line in calls[1:]]
    return problems + [
        f"pip install without {flag}" for flag in PIP_FORM if not calls or flag not in re.sub(r"\s+", " ", calls[0])
    ]


def script_fetches_nothing(text: str) -> list[str]:
    return [f"{line.strip()}: fetches" for line in commands(text) if re.search(FETCHERS, line)]


def commands(text: str) -> list[str]:
    """Return the lines of a shell script, continued ones joined, comments left out."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return code.replace("\\\n", " ").splitlines()


OF_DOCKERFILES = (base_is_an_argument, nothing_is_fetched, no_version, last_stage_only_copies, writes_are_mounted)
OF_SCRIPTS = (script_fetches_nothing, no_version)
OF_INSTALL = (pip_has_one_form, *OF_SCRIPTS)
