"""The rules of the kit's own for Dockerfiles and the scripts that they run, which no linter knows.

Each returns lines that say what is wrong.
"""

import re

# Words after which bytes come in that no lock knows.
FETCHERS = r"(^|[;&|(\s])(apt|apt-get|dpkg|apk|yum|dnf|microdnf|curl|wget|git|conda|npm)\s"

PIP_FORM = (
    "--no-index", "--find-links /wheels", "--require-hashes", "--no-deps", "--ignore-installed", "--no-compile",
)  # fmt: skip


def instructions(text):
    """Return (word, rest) of each instruction, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def base_is_an_argument(text):
    """Every image comes by an argument without a default, which the builder fills with a digest of versions.lock."""
    found, known, stages = [], set(), set()
    for word, rest in instructions(text):
        if word == "ARG" and not stages:
            known.add(rest)
        if word == "FROM":
            image, *named = rest.split()
            if image not in {f"${{{name}}}" for name in known} | stages:
                found.append(f"FROM {image}: name it by an argument that has no default")
            stages.update(named[1:])
        if word == "COPY" and (source := re.search(r"--from=(\S+)", rest)) and source[1] not in stages:
            found.append(f"COPY --from={source[1]}: copy from a stage of this file")
    return found


def nothing_is_fetched(text):
    """No package manager, no download: everything lies in the context."""
    found = [
        f"{word} {rest}: fetches" for word, rest in instructions(text) if word == "RUN" and re.search(FETCHERS, rest)
    ]
    return found + [f"{word} {rest}: use COPY" for word, rest in instructions(text) if word == "ADD"]


def no_version(text):
    """No version and no digest stands outside versions.lock, in no comment either."""
    return [
        f"{line.strip()}: a version"
        for line in text.splitlines()
        if re.search(r"\d+\.\d+|sha256:[0-9a-f]|@[0-9a-f]{12}", line)
    ]


def last_stage_only_copies(text):
    """The last stage runs nothing, so that its layers hold what was copied and no trace of a run; it ends as a plain user."""
    words = instructions(text)
    last = words[max(index for index, (word, _) in enumerate(words) if word == "FROM") :]
    found = [
        f"{word} {rest}: in the last stage"
        for word, rest in last
        if word in ("RUN", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD")
    ]
    users = [rest for word, rest in last if word == "USER"]
    if not users or not re.fullmatch(r"[1-9][0-9]{3,}:[1-9][0-9]{3,}", users[-1]):
        found.append("USER: a number that is not root's, with its group")
    if [rest for word, rest in last if word == "ENTRYPOINT"] != ['["python", "-m", "runner", "bench"]']:
        found.append("ENTRYPOINT: the verb bench, as a list")
    return found


def writes_are_mounted(text):
    """What the software writes goes below /tmp, whoever runs it."""
    (variables,) = [rest for word, rest in instructions(text) if word == "ENV" and "HOME=" in rest] or [""]
    places = dict(part.split("=", 1) for part in variables.split())
    wanted = ("HOME", "XDG_CACHE_HOME", "PYTHONPYCACHEPREFIX", "TORCH_EXTENSIONS_DIR")
    return [f"{name}: below /tmp" for name in wanted if not (places.get(name, "") + "/").startswith("/tmp/")]


def pip_has_one_form(text):
    """install.sh calls ``pip install`` in one place, with every flag of the one form."""
    calls = [line for line in commands(text) if re.search(r"pip\S* install|-m pip", line)]
    found = [f"{line.strip()}: a second form of pip" for line in calls[1:]]
    return found + [
        f"pip install without {flag}" for flag in PIP_FORM if not calls or flag not in re.sub(r"\s+", " ", calls[0])
    ]


def script_fetches_nothing(text):
    return [f"{line.strip()}: fetches" for line in commands(text) if re.search(FETCHERS, line)]


def commands(text):
    """Return the lines of a shell script, continued ones joined, comments left out."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return code.replace("\\\n", " ").splitlines()


OF_DOCKERFILES = (base_is_an_argument, nothing_is_fetched, no_version, last_stage_only_copies, writes_are_mounted)
OF_SCRIPTS = (script_fetches_nothing, no_version)
OF_INSTALL = (pip_has_one_form, *OF_SCRIPTS)
