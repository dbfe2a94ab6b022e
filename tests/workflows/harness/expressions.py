"""Evaluate ``${{ }}``, as docs.github.com describes it under "Evaluate expressions in workflows and actions", and strictly.

A name that no context holds is an error here, where a forge takes an empty text: a slip in a name would pass unseen.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Value = str | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]
Function = Callable[..., Value]

STATUS = frozenset({"success", "failure", "always", "cancelled"})

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[<>!().,\[\]]))"
)
_WHOLE = re.compile(r"\s*\$\{\{(?P<inside>.*?)\}\}\s*", re.DOTALL)
_PART = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_LITERALS: Mapping[str, Value] = {"true": True, "false": False, "null": None}


class NotKnown(Exception):
    """The YAML says something that the harness does not know, or that is not there."""


@dataclass(frozen=True)
class Scope:
    """What an expression may name: contexts by their names, and the functions of the place beside those that every place has."""

    contexts: Mapping[str, Value]
    functions: Mapping[str, Function]

    def called(self, name: str, arguments: Sequence[Value]) -> Value:
        """Return what a function returns. Raises ``NotKnown`` for a function that this place does not have."""
        function = {**FUNCTIONS, **self.functions}.get(name)
        if function is None:
            raise NotKnown(f"the function {name} is not known here")
        try:
            return function(*arguments)
        except TypeError as problem:
            raise NotKnown(f"{name}: {problem}") from None


def text(written: str, scope: Scope) -> str:
    """Return a text of the YAML with each ``${{ }}`` in it replaced by its value."""
    parts = _PART.sub(lambda match: as_text(evaluate(match[1], scope)), written)
    if "${{" in _PART.sub("", written):
        raise NotKnown(f"an expression has no end: {written!r}")
    return parts


def value(written: str, scope: Scope) -> Value:
    """Return the value of a text that is one ``${{ }}`` and nothing else, such as a matrix that an output gives."""
    match = _WHOLE.fullmatch(written)
    if match is None:
        raise NotKnown(f"{written!r} is not one expression")
    return evaluate(match["inside"], scope)


def condition(written: str | None, scope: Scope) -> bool:
    """Return whether an ``if:`` holds. Without a status function of its own it also asks for success()."""
    if written is None:
        return is_true(scope.called("success", ()))
    match = _WHOLE.fullmatch(written)
    inside = match["inside"] if match is not None else written
    if "${{" in inside:
        raise NotKnown(f"if: {written!r} mixes text with an expression, which is always true on a forge")
    parser = _Parser(inside, scope)
    holds = is_true(parser.whole())
    if parser.called & STATUS:
        return holds
    return is_true(scope.called("success", ())) and holds


def evaluate(inside: str, scope: Scope) -> Value:
    """Return the value of what stands between ``${{`` and ``}}``. Raises ``NotKnown``."""
    return _Parser(inside, scope).whole()


def is_true(given: Value) -> bool:
    """Return whether a value counts as true: all do but false, 0, an empty text, null and what is no number."""
    if isinstance(given, float):
        return given != 0 and not math.isnan(given)
    if isinstance(given, str | bool) or given is None:
        return bool(given)
    return True


def as_text(given: Value) -> str:
    """Return a value as it stands in a text. Raises ``NotKnown`` for a list or an object, of which a forge writes only the kind."""
    if given is None:
        return ""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, float):
        return str(int(given)) if given.is_integer() else str(given)
    if isinstance(given, str):
        return given
    raise NotKnown("a list or an object has no text")


def equal(left: Value, right: Value) -> bool:
    """Return whether two values are equal: texts whatever their case, values of two kinds as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if type(left) is type(right) and isinstance(left, bool | float | None):
        return left == right
    if isinstance(left, Sequence | Mapping) and not isinstance(left, str):
        return left is right
    return _number(left) == _number(right)


def _number(given: Value) -> float:
    if given is None:
        return 0.0
    if isinstance(given, bool | float):
        return float(given)
    if isinstance(given, str):
        try:
            return float(given) if given.strip() else 0.0
        except ValueError:
            return math.nan
    return math.nan


def _from_json(given: Value) -> Value:
    try:
        loaded: Value = json.loads(as_text(given), parse_int=float)
    except ValueError as problem:
        raise NotKnown(f"fromJSON: {problem}") from None
    return loaded


def _contains(where: Value, what: Value) -> Value:
    if isinstance(where, Sequence) and not isinstance(where, str):
        return any(equal(each, what) for each in where)
    return as_text(what).lower() in as_text(where).lower()


def _format(pattern: Value, *given: Value) -> Value:
    return re.sub(r"\{([0-9]+)\}", lambda match: as_text(given[int(match[1])]), as_text(pattern))


FUNCTIONS: Mapping[str, Function] = {
    "fromJSON": _from_json,
    "toJSON": lambda given: json.dumps(given, indent=2),
    "contains": _contains,
    "startsWith": lambda text_, start: as_text(text_).lower().startswith(as_text(start).lower()),
    "endsWith": lambda text_, end: as_text(text_).lower().endswith(as_text(end).lower()),
    "format": _format,
}


class _Parser:
    """A parser that evaluates while it reads. Both sides of && and || are evaluated, so that a wrong name is found on either."""

    def __init__(self, inside: str, scope: Scope) -> None:
        self.inside, self.scope = inside, scope
        self.called: set[str] = set()
        self.tokens: list[tuple[str, str]] = []
        position = 0
        rest = inside.rstrip()
        while position < len(rest):
            match = _TOKEN.match(rest, position)
            if match is None:
                raise NotKnown(f"{inside.strip()!r}: {rest[position:].strip()!r} is not understood")
            assert match.lastgroup is not None
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def whole(self) -> Value:
        found = self._or()
        if self.tokens:
            raise NotKnown(f"{self.inside.strip()!r}: {self.tokens[0][1]!r} is not understood")
        return found

    def _next(self, *signs: str) -> str | None:
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return None

    def _must(self, sign: str) -> None:
        if self._next(sign) is None:
            raise NotKnown(f"{self.inside.strip()!r}: a {sign} is missing")

    def _or(self) -> Value:
        left = self._and()
        while self._next("||"):
            right = self._and()
            left = left if is_true(left) else right
        return left

    def _and(self) -> Value:
        left = self._equality()
        while self._next("&&"):
            right = self._equality()
            left = right if is_true(left) else left
        return left

    def _equality(self) -> Value:
        left = self._order()
        while sign := self._next("==", "!="):
            left = equal(left, self._order()) == (sign == "==")
        return left

    def _order(self) -> Value:
        left = self._not()
        while sign := self._next("<", "<=", ">", ">="):
            first, second = _number(left), _number(self._not())
            left = {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[sign]
        return left

    def _not(self) -> Value:
        if self._next("!"):
            return not is_true(self._not())
        return self._primary()

    def _primary(self) -> Value:
        if self._next("("):
            found = self._or()
            self._must(")")
            return self._looked_up(found, "(...)")
        if not self.tokens:
            raise NotKnown(f"{self.inside.strip()!r} ends too early")
        kind, word = self.tokens.pop(0)
        if kind == "text":
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return float(word)
        if kind == "sign":
            raise NotKnown(f"{self.inside.strip()!r}: {word!r} is not understood")
        if self._next("("):
            return self._looked_up(self.scope.called(word, self._arguments(word)), word)
        if word in _LITERALS:
            return _LITERALS[word]
        if word not in self.scope.contexts:
            raise NotKnown(f"{self.inside.strip()!r}: there is no {word} here")
        return self._looked_up(self.scope.contexts[word], word)

    def _arguments(self, function: str) -> list[Value]:
        self.called.add(function)
        given: list[Value] = []
        if self._next(")"):
            return given
        while True:
            given.append(self._or())
            if not self._next(","):
                self._must(")")
                return given

    def _looked_up(self, found: Value, path: str) -> Value:
        while sign := self._next(".", "["):
            if sign == ".":
                if not self.tokens or self.tokens[0][0] != "name":
                    raise NotKnown(f"{self.inside.strip()!r}: no name stands behind {path}.")
                key: Value = self.tokens.pop(0)[1]
            else:
                key = self._or()
                self._must("]")
            if isinstance(found, Mapping) and isinstance(key, str) and key in found:
                found = found[key]
            elif isinstance(found, Sequence) and not isinstance(found, str) and isinstance(key, float):
                found = found[int(key)]
            else:
                raise NotKnown(f"{self.inside.strip()!r}: {path} has no {key}")
            path = f"{path}.{key}"
        return found
