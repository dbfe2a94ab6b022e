"""Mask secrets in everything that leaves this process: results, logs, evidence, messages, commands.

A secret is known by where it stands (beside a name that says so, in the user part of an address, in a header), by its shape
(the tokens of hubs, clouds and registries), or because the module that read it called ``remember``.
Sources of the shapes: each vendor's published prefix; RFC 7519 for JSON Web Tokens, RFC 7468 for PEM, RFC 3986 for addresses.
"""

from __future__ import annotations

import functools
import os
import re
from typing import Any, Mapping, Match, Pattern
from urllib.parse import unquote

MASK = "***"

# Shorter values occur in too many words to be masked wherever they stand; they are masked beside their name alone.
LEAST_LENGTH = 8

# A name is cut into its words (API_KEY, apiKey and api-key are api, key); each of these words, or pairs of words, says secret.
_SECRET_WORDS = {
    *("token", "secret", "password", "passwd", "passphrase", "pass", "apikey", "credential", "credentials"),
    *("cookie", "authorization", "signature", "jwt", "pat", "pgpassword", "sshpass"),
}
_SECRET_PAIRS = {(first, "key") for first in ("api", "access", "account", "private", "secret", "signing", "encryption")}
_SECRET_PAIRS |= {("key", "data"), ("auth", "data"), ("http", "auth")}
# Words that say secret as the last of several: MYSQL_PWD, but not PWD; OPENAI_KEY as a variable is written, but not sort_key.
_SECRET_LAST = {"pwd", "auth"}
_PUBLIC_KEYS = {"public", "primary", "foreign", "sort", "label"}
# Last words of names that hold no secret, but say where a secret lies, what it is called, or how many tokens there are.
_NO_SECRET_AT_THE_END = {
    *("path", "file", "dir", "folder", "name", "ref", "count", "counts", "id", "ids", "type", "sha256", "s", "seconds"),
    *("bytes", "url", "uri", "endpoint", "policy", "parallelism", "mode"),
}
# <eos>, <bos> and the like are tokens of text, not secrets.
_TOKENS_OF_TEXT = {"eos", "bos", "pad", "unk", "sep", "cls", "mask", "special"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_SHAPES = (
    r"\bhf_(?:oauth_)?[A-Za-z0-9]{16,}",
    r"\bapi_org_[A-Za-z0-9]{16,}",
    r"\bnvapi-[\w-]{16,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_\w{20,}",
    r"\bgl(?:pat|rt|dt|ptt|cbt|agent|soat)-[\w-]{16,}",
    r"\bnpm_[A-Za-z0-9]{30,}",
    r"\bsha256~[\w-]{30,}",
    r"\bhvs\.[\w-]{20,}",
    r"\bhooks\.slack\.com/services/[\w/-]+",
    r"\bpypi-[\w-]{30,}",
    r"\bdckr_pat_[\w-]{16,}",
    r"\bsk-[\w-]{20,}",
    r"\bxox[abprs]-[\w-]{10,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bAIza[\w-]{35}",
    r"\bya29\.[\w-]{20,}",
    r"\bk8s-aws-v1\.[\w-]{10,}",
    # a token that begins inside another one is not looked for: a long line of eyJ-eyJ- would be searched from each eyJ anew
    r"\beyJ(?:\w|-(?!eyJ)){8,}\.[\w-]{8,}(?:\.[\w-]*)?",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^-]|\n)*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
)
_SHAPE = re.compile("|".join(_SHAPES))

# user:password@ in an address; a user without a password is masked too, since it may be a token
_USER_PART = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s/?#'\"]*@")
# user:password@registry/team, without a scheme; NAME:TAG@sha256:... is an image
_BARE_USER_PART = re.compile(r"(?<![\w./:@-])[\w.+-]{1,100}:[^\s/:@'\"]+@(?!sha256:)(?=[\w\[])")
_AUTHORIZATION = re.compile(
    r"(\bauthorization['\"]?\s*[:=]\s*['\"]?)(?:(basic|bearer|token|digest|negotiate|ntlm|apikey|api-key|key)\s+)?[^\s'\",]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&](?:sig|x-amz-[\w-]+|x-goog-[\w-]+|key|token|access_token|auth|pass|pwd)=)[^&\s'\"#]+", re.IGNORECASE
)
# NAME=value, NAME: value, "NAME": "value", x['NAME'] = value, --name value, '--name', 'value'; a JSON text inside another JSON text
# has backslashes before its quotes. A name begins where no letter, digit or dot stands before it: a line of 64 KiB of "a.a.a." took 151 s
# when each of its letters could begin one.
_QUOTE = r"(?P<quote>[bBrRuU]?(?P<sign>\\{0,8}['\"]))?"
_NAMED = re.compile(
    rf"(?P<name>(?<![\w.-])-{{0,2}}[\w.][\w.-]*)(?P<mark>(?:\\{{0,8}}['\"])?\]?\s*(?:=>|[=:])\s*){_QUOTE}"
)
_FLAG = re.compile(rf"(?P<name>(?<![\w.-])--[\w.][\w.-]*)(?P<mark>['\"],? *| +){_QUOTE}")
# Kubernetes writes a variable as {"name": NAME, "value": value}; quotes, blanks and comma between the two match in one step
_BETWEEN = r"[\\'\"\s]{0,20}[=:][\\'\"\s]{0,20}"
_VARIABLE = re.compile(
    rf"\bname{_BETWEEN}(?P<name>[A-Za-z_]\w{{0,99}})(?P<mark>[\\'\",\s]{{1,20}}value[\\'\"\s]{{0,20}}[=:]\s{{0,20}}){_QUOTE}"
)
_VALUE = re.compile(r"[^\s'\"&,;}\])\\]+")
# Of a quoted value, in characters.
_QUOTED_LENGTH = 8192

# A terminal's control sequence ends in a letter, which would seem to belong to the token or name behind the sequence. The sequence may
# have been made visible, or stand in a JSON text.
_CONTROL_SEQUENCE = re.compile(r"((?:\x1b|\\x1b|\\u001b|\\033)\[[0-9;?]*[A-Za-z])")

_remembered: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Return whether the name of a variable, key or flag says that its value is a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if words[-2:] == ["secret", "id"] or words == ["auth"]:
        return True
    if not words or words[-1] in _NO_SECRET_AT_THE_END or _TOKENS_OF_TEXT.intersection(words):
        return False
    if len(words) > 1 and words[-1] in _SECRET_LAST:
        return True
    if len(words) > 1 and words[-1] == "key" and name.isupper() and words[-2] not in _PUBLIC_KEYS:
        return True
    return bool(_SECRET_WORDS.intersection(words)) or any(pair in _SECRET_PAIRS for pair in zip(words, words[1:]))


def remember(value: str | None) -> None:
    """Mask a value from now on wherever it occurs, such as a token that was read from a file or a kubeconfig."""
    if value and len(value.strip()) >= LEAST_LENGTH:
        _remembered.add(value.strip())


def mask(text: str) -> str:
    """Return ``text`` with every secret in it replaced by ``***``; the text around a secret stays readable."""
    masked = _masked(text)
    if "[" not in masked:
        return masked
    pieces = _CONTROL_SEQUENCE.split(masked)
    return masked if len(pieces) == 1 else "".join(_masked(piece) for piece in pieces)


def _masked(text: str) -> str:
    for value in _values(frozenset(_remembered), tuple(os.environ.items())):
        if value in text:
            text = text.replace(value, MASK)
    if "://" in text:
        text = _USER_PART.sub(rf"\1{MASK}@", text)
    if "@" in text:
        text = _BARE_USER_PART.sub(f"{MASK}@", text)
    text = _SHAPE.sub(MASK, text)
    text = _AUTHORIZATION.sub(lambda match: f"{match[1]}{match[2] + ' ' if match[2] else ''}{MASK}", text)
    text = _SCHEME.sub(rf"\1{MASK}", text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    for pattern in (_NAMED, _FLAG, _VARIABLE):
        text = _without_values(text, pattern)
    return text


def mask_json(value: Any, name: str = "") -> Any:  # noqa: ANN401 - JSON of any shape
    """Return a JSON value with every text in it masked; a text under the name of a secret is masked whole.

    Kubernetes writes a variable as ``{"name": ..., "value": ...}``; there the text under ``value`` has that name. ``name`` is the name
    that ``value`` itself stands under. Typed Any, since the masked value has the shape of the given one.
    """
    if isinstance(value, str):
        return MASK if value and is_secret_name(name) else mask(value)
    if isinstance(value, Mapping):
        named = value.get("name") if isinstance(value.get("value"), str) else None
        return {
            mask(key): mask_json(part, named if key == "value" and isinstance(named, str) else key)
            for key, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [mask_json(part, name) for part in value]
    return value


def _without_values(text: str, pattern: Pattern[str]) -> str:
    """Return the text with ``NAME=***`` for each name that says secret; text after any other name is searched too."""
    pieces: list[str] = []
    done = at = 0
    while True:
        match = pattern.search(text, at)
        if match is None:
            return "".join([*pieces, text[done:]])
        at = match.end()
        if not is_secret_name(match["name"].lstrip("-")):
            continue
        end = _end_of_value(text, at, match["sign"])
        if end > at and not _is_prose(match, text[at:end]):
            pieces += [text[done:at], MASK]
            done = at = end


def _end_of_value(text: str, at: int, quote: str | None) -> int:
    """Return where a value ends: at the quote that it began with, or with its word where that quote is not on its line."""
    end = text.find(quote, at, at + _QUOTED_LENGTH) if quote else -1
    # a quote with a backslash belongs to the value
    while end > 0 and quote in ("'", '"') and text[end - 1] == "\\":
        end = text.find(quote, end + 1, at + _QUOTED_LENGTH)
    if end >= 0 and "\n" not in text[at:end]:
        return end
    value = _VALUE.match(text, at)
    return value.end() if value is not None else at


def _is_prose(match: Match[str], value: str) -> bool:
    """Return whether the text after a name is prose and no secret, as in "the token: see below", or a word such as none."""
    if value.lower() in _NO_SECRETS:
        return True
    mark = match["mark"]
    named_by_quotes = mark.startswith(("'", '"', "\\")) or "value" in mark
    return ":" in mark and value.isalpha() and not match["quote"] and not named_by_quotes


_NO_SECRETS = {MASK, "none", "null", "true", "false", "yes", "no", "unresolved"}


@functools.lru_cache(maxsize=4)
def _values(remembered: frozenset[str], environment: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the values to mask wherever they occur, the longest first, since one value may contain another.

    The values are those remembered, those of variables whose names say secret, and passwords in addresses in any variable.
    """
    values = set(remembered)
    for name, value in environment:
        # GOOGLE_APPLICATION_CREDENTIALS and others name the file in which the secret lies
        if is_secret_name(name) and not os.path.isabs(value):
            values.add(value.strip())
        for user_part in re.findall(r"://([^\s/?#]*)@", value):
            user, _, password = user_part.partition(":")
            values.update((password or user, unquote(password or user)))
    return sorted((value for value in values if len(value) >= LEAST_LENGTH), key=len, reverse=True)
