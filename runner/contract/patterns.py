"""Define the form of every text of lock, catalog and requests, with the words that describe the form in messages.

Such texts become arguments of programs, addresses, paths, names of images and of objects in a cluster. A form therefore says what
is allowed, never what is forbidden: names are ASCII, since other scripts have letters that look the same, and no form but
free text can begin with ``-`` or hold a blank, a quote or a line's end.
Sources: PEP 503 and 440 for packages; distribution/reference (grammar in reference.go) for images; git-check-ref-format(1);
RFC 3986 for addresses; RFC 1123 and Kubernetes' "Object Names and IDs" and "Labels" for objects in a cluster.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Pattern

from runner.contract.text import UNSAFE, cut

UNRESOLVED = "unresolved"
# In characters: of a name, path or address, and of a free text.
MAX_LENGTH = 500
MAX_TEXT = 4000

# Invisible letters and marks, beside the categories of UNSAFE: Unicode's Default_Ignorable_Code_Point, and Braille's blank.
_BLANK = {
    0x034F,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    *range(0x180B, 0x1810),
    0x2800,
    0x3164,
    *range(0xFE00, 0xFE10),
    0xFFA0,
}


@dataclass(frozen=True)
class Form:
    """A kind of text. ``expression`` matches it whole, and ``words`` finish the sentence "it must be ..."."""

    expression: Pattern[str]
    words: str

    def fullmatch(self, text: str) -> bool:
        """Return whether the whole of ``text`` is of this form; a newline at the end is a part of the text."""
        return len(text) <= MAX_LENGTH and self.expression.fullmatch(text) is not None

    def or_unresolved(self) -> Form:
        """Return the form that also takes the word ``unresolved``."""
        return Form(re.compile(f"(?:{self.expression.pattern})|{UNRESOLVED}"), f"{self.words} or {UNRESOLVED}")


@dataclass(frozen=True)
class FreeText:
    """Text for people, which is never a part of a command, path or name: any script, no invisible characters.

    ``kept`` are control characters that it may hold. Where ``composed``, the text is in Unicode's normal form C, so that two
    texts that look the same are the same.
    """

    words: str
    kept: str = ""
    composed: bool = True
    least: int = 1

    def or_empty(self) -> FreeText:
        """Return the form that also takes an empty text."""
        return replace(self, least=0)

    def fullmatch(self, text: str) -> bool:
        """Return whether ``text`` has no character that is invisible or changes how others are shown, and is not too long."""
        return (
            self.least <= len(text) <= MAX_TEXT
            and all(character in self.kept or _is_seen(character) for character in text)
            and (not self.composed or unicodedata.normalize("NFC", text) == text)
        )


def _is_seen(character: str) -> bool:
    return unicodedata.category(character) not in UNSAFE and ord(character) not in _BLANK


def _form(expression: str, words: str) -> Form:
    return Form(re.compile(expression, re.ASCII), words)


def problem(form: Form | FreeText, text: str) -> str | None:
    """Return what is wrong with a text that is not of a form, None for one that is; the text is shown in ASCII, shortened."""
    if form.fullmatch(text):
        return None
    shown = ascii(cut(text, 200, "..."))
    placeholder = re.fullmatch(r"(?:.*@)?(?:sha256:)?(.)\1{39,}", text)
    return f"must be {form.words}, {shown} was found" + (", a placeholder" if placeholder else "")


# No content has a hash of zeros: tools write zeros where they have no hash (git calls them the null id).
_NOT_ZERO = "(?!0+$)"
# A hash of a single digit repeated was typed by a person. The lock takes none: files are fetched by its hashes.
_NOT_ONE_DIGIT = r"(?!(?P<{0}>.)(?P={0})*$)"

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])"
_DOMAIN = rf"{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*(?::[0-9]{{1,5}})?"
_HOST = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[0-9a-fA-F:]{{2,39}}\])(?::[0-9]{{1,5}})?"
_LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?"
_URL_PATH = r"(?:/(?:[A-Za-z0-9._~+@:-]|%[0-9A-Fa-f]{2})*)*"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_FILE = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}"
_DNS_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME_PART = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = rf"{_NAME_PART}(?:\.{_NAME_PART})*"
_LABEL_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_HUB_PART = r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"

# Of a device, as its driver's tool names it; * at the end stands for more letters.
PRODUCT = _form(
    r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?\*?", "the name of a product, or the beginning of names and *"
)

SHA256 = _form(rf"{_NOT_ZERO}[0-9a-f]{{64}}", "a sha256 in hex")
COMMIT = _form(rf"{_NOT_ZERO}[0-9a-f]{{40}}", "40 hex digits")
LOCKED_SHA256 = _form(rf"{_NOT_ONE_DIGIT.format('s')}[0-9a-f]{{64}}", "a sha256 in hex")
LOCKED_COMMIT = _form(rf"{_NOT_ONE_DIGIT.format('c')}[0-9a-f]{{40}}", "40 hex digits")
LOCKED_DIGEST = _form(rf"sha256:{_NOT_ONE_DIGIT.format('d')}[0-9a-f]{{64}}", "sha256: and 64 hex digits")
SHORT_COMMIT = _form("[0-9a-f]{4,40}", "the first 4 to 40 hex digits of a revision")

# A case name and its hash fit a Kubernetes label of 63.
NAME = _form(r"[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?", "at most 40 lower-case letters, digits, dots and hyphens")
ROW = _form(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?", "at most 63 lower-case letters, digits, dots, hyphens and _")
NUMBER = _form("[0-9]{1,9}", "a whole number")
VERSION = _form(r"[0-9][0-9a-zA-Z.+!-]{0,99}", "a version")
VERSIONS = _form(
    r"(?:[<>]=?|[=!~]=)[0-9][0-9a-zA-Z.+!*-]{0,99}(?:,(?:[<>]=?|[=!~]=)[0-9][0-9a-zA-Z.+!*-]{0,99}){0,8}",
    "versions as pip writes them, such as <5.21 or >=1.2,<2",
)
PLATFORM = _form(
    r"x86_64-manylinux_2_[0-9]{1,2}", "a platform of wheels as uv names platforms, such as x86_64-manylinux_2_31"
)
PYTHON = _form(r"3\.[0-9]{1,2}", "a Python such as 3.8")
DATE = _form(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])", "a day such as 2023-06-15")
PACKAGE = _form(r"[a-z0-9]+(?:-[a-z0-9]+)*", "the normalised name of a package, such as huggingface-hub")
LICENSE = _form(
    r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}(?: (?:AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]{0,63}){0,8}",
    "an SPDX licence such as GPL-2.0-or-later",
)

REPOSITORY = _form(_REPOSITORY, "the name of an image's repository, such as docker.io/library/python")
TAG = _form(_TAG, "a tag: letters, digits, dots, hyphens and _")
IMAGE = _form(
    rf"{_REPOSITORY}(?::{_TAG})?@sha256:{_NOT_ZERO}[0-9a-f]{{64}}",
    "an image by digest: REPOSITORY@sha256:64 hex digits",
)
TAGS = _form(
    r"[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,127}", "a pattern of tags, in which * stands for numbers with dots, such as v*"
)
# Images in buildah's own storage are named by their ids too.
LOCAL_IMAGE = _form(rf"{_REPOSITORY}(?::{_TAG})?(?:@sha256:[0-9a-f]{{64}})?", "the name or id of an image")

GIT_URL = _form(
    rf"https://{_HOST}{_URL_PATH}|ssh://(?:[a-z][a-z0-9_-]*@)?{_HOST}{_URL_PATH}|file://{_URL_PATH}",
    "the address of a git repository: https://HOST/PATH, ssh://HOST/PATH or file:///PATH, without a password",
)
INDEX_URL = _form(
    rf"https://{_HOST}{_URL_PATH}|http://{_LOOPBACK}{_URL_PATH}",
    "an address https://HOST/PATH, without user and password",
)
BRANCH = _form(
    r"(?!.*(?:\.\.|//|/\.|\./|\.lock(?:/|$)|[./]$))[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}", "the name of a branch"
)

ACTION = _form(
    r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,4}",
    "an action of a workflow, such as actions/checkout",
)
HUB_REPOSITORY = _form(rf"(?:{_HUB_PART}/)?{_HUB_PART}", "a repository of the hub, such as bigscience/bloomz")
HUB_CONFIGURATION = _form(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}", "the name of a configuration")
HUB_SPLIT = _form(
    r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}(?:\[[0-9A-Za-z_:%.-]{0,99}\])?",
    "the name of a split, such as test or train[:10%]",
)
FILE_PATH = _form(rf"{_FILE}(?:/{_FILE})*", "a path of a repository's file, such as a/model.safetensors")
REQUIREMENTS_FILE = _form(
    rf"(?:images|requirements)/(?:{_FILE}/)?(?!.*/){_FILE}\.txt",
    "a path such as requirements/host.txt or images/cpu/torch-cpu.txt",
)
MANIFESTS_FOLDER = _form(rf"\.|{_DNS_LABEL}(?:/{_DNS_LABEL})*", "a folder below k8s/, such as multinode, or a dot")

DNS_LABEL = _form(_DNS_LABEL, "at most 63 lower-case letters, digits and hyphens")
# Kubernetes bounds the whole of such a name, and no part of it.
SUBDOMAIN = _form(rf"(?=.{{1,253}}\Z){_SUBDOMAIN}", "at most 253 lower-case letters, digits, dots and hyphens")
LABEL_KEY = _form(rf"(?:{_SUBDOMAIN}/)?{_LABEL_NAME}", "the key of a label, such as nvidia.com/gpu.product")
LABEL_VALUE = _form(rf"(?:{_LABEL_NAME})?", "the value of a label: at most 63 letters, digits, dots, hyphens and _")
RESOURCE = _form(rf"cpu|{_SUBDOMAIN}/{_LABEL_NAME}", "a resource of Kubernetes, such as nvidia.com/gpu")
QUANTITY = _form(r"[1-9][0-9]{0,8}(?:Mi|Gi)", "a quantity such as 690Gi or 42000Mi")
PCI = _form(r"[0-9a-f]{4}:[0-9a-f]{4}", "VENDOR:DEVICE ids of one vendor, such as 1da3:1020")
VARIABLE = _form("[A-Za-z_][A-Za-z0-9_]{0,254}", "the name of a variable")

TEXT = FreeText("text on one line in Unicode's normal form C, without characters that cannot be seen")
# Not composed: on a Mac the name of a column or file is often not in normal form C, and must be kept as it is.
FOREIGN_NAME = FreeText("text on one line, without characters that cannot be seen", composed=False)
PROMPT = FreeText("text, without characters that cannot be seen but the ends of lines", kept="\n\t", composed=False)
