"""Take typed fields out of a mapping by hand, with a closed schema and errors that name the place.

Annotations are not reflected on: ``typing.get_type_hints`` fails on Python 3.8 for modern annotations.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator, Sequence, TypeVar, overload

from runner.contract import patterns
from runner.contract.errors import InputError
from runner.contract.patterns import Form, FreeText
from runner.contract.strictjson import MAX_DIGITS
from runner.contract.text import cut

Value = TypeVar("Value")
Default = TypeVar("Default")
Word = TypeVar("Word", bound=str)

# Typed Any: the getters compare a default with it by identity, and return a default as it is.
_MISSING: Any = object()
_NUMBER = re.compile(r"[+-]?(?:[0-9]{0,40}\.?[0-9]{1,40}(?:[eE][+-]?[0-9]{1,4})?|nan|inf)")
MAX_COUNT = 10**MAX_DIGITS - 1


class Fields:
    """One mapping being read: every getter names the key that it reads, and ``done()`` refuses keys that no getter named.

    A mapping may carry ``lines``, key to line number in its file; messages then say the line. ``where`` names the mapping in
    messages, and ``error`` is the class of every error. A getter raises ``error`` for a value of another kind, and for a missing
    key without a default; a default is returned as it is.
    """

    def __init__(self, mapping: object, where: str, error: type[Exception] = InputError) -> None:
        """Begin to read ``mapping``. Raises ``error`` for what is no mapping."""
        self.where, self.error = where, error
        if not isinstance(mapping, dict):
            raise error(f"{where}: a mapping is expected, {_kind(mapping)} was found.")
        self._mapping: dict[str, Any] = mapping
        self._asked: set[str] = set()

    def fail(self, key: str, problem: str) -> Exception:
        """Return the error for ``key``: the place, the line where it is known, and the problem."""
        line = getattr(self._mapping, "lines", {}).get(key)
        return self.error(f"{self.where}{f' (line {line})' if line else ''}: {problem}")

    def take(self, key: str, kinds: type | tuple[type, ...], default: Any = _MISSING) -> Any:  # noqa: ANN401 - JSON of any shape
        """Return the value under ``key``, which must be of one of the types ``kinds``; bool never passes for a number.

        Raises ``error`` for a missing key without a default, and for a value of another type. So do all getters.
        """
        self._asked.add(key)
        value = self._mapping.get(key, default)
        if value is _MISSING:
            raise self.fail(key, f"the key {key!r} is missing.")
        if value is default:
            return value
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in _tuple(kinds)):
            names = " or ".join(_NAMES[kind] for kind in _tuple(kinds))
            raise self.fail(key, f"{key!r} must be {names}, {_kind(value)} was found.")
        return value

    def optional(self, getter: Callable[[Fields, str], Value], key: str) -> Value | None:
        """Return what ``getter`` (``Fields.text``, say) reads under ``key``; None where null stands there."""
        self._asked.add(key)
        return None if key in self._mapping and self._mapping[key] is None else getter(self, key)

    @overload
    def text(self, key: str) -> str: ...
    @overload
    def text(self, key: str, default: Default) -> str | Default: ...
    def text(self, key: str, default: Any = _MISSING) -> Any:
        """Return text of any form."""
        return self.take(key, str, default)

    @overload
    def choice(self, key: str, options: Sequence[Word]) -> Word: ...
    @overload
    def choice(self, key: str, options: Sequence[Word], default: Default) -> Word | Default: ...
    def choice(self, key: str, options: Sequence[str], default: Any = _MISSING) -> Any:
        """Return text that is one of the words ``options``. Raises ``error`` for another word."""
        value = self.take(key, str, default)
        if value is not default and value not in options:
            raise self.fail(key, f"{key!r} is {_shown(value)}; it must be one of {', '.join(sorted(options))}.")
        return value

    @overload
    def pattern(self, key: str, regex: re.Pattern[str], what: str) -> str: ...
    @overload
    def pattern(self, key: str, regex: re.Pattern[str], what: str, default: Default) -> str | Default: ...
    def pattern(self, key: str, regex: re.Pattern[str], what: str, default: Any = _MISSING) -> Any:
        """Return text that the compiled ``regex`` matches whole; ``what`` says in words what it must be. Raises ``error``."""
        value = self.take(key, str, default)
        if value is not default and not regex.fullmatch(value):
            raise self.fail(key, f"{key!r} must be {what}, {_shown(value)} was found.")
        return value

    @overload
    def form(self, key: str, form: Form | FreeText) -> str: ...
    @overload
    def form(self, key: str, form: Form | FreeText, default: Default) -> str | Default: ...
    def form(self, key: str, form: Form | FreeText, default: Any = _MISSING) -> Any:
        """Return text of a form of ``patterns``. Raises ``error``, which says what is wanted and shows what was found."""
        value = self.take(key, str, default)
        if value is not default:
            self._refuse_unless(form, key, value, repr(key))
        return value

    def forms(self, key: str, form: Form | FreeText) -> list[str]:
        """Return a list of texts that are all of one form. Raises ``error`` for another text."""
        values = self.texts(key)
        for value in values:
            self._refuse_unless(form, key, value, f"each of {key!r}")
        return values

    def _refuse_unless(self, form: Form | FreeText, key: str, value: str, what: str) -> None:
        problem = patterns.problem(form, value)
        if problem is not None:
            raise self.fail(key, f"{what} {problem}.")

    @overload
    def count(self, key: str, *, least: int = 0, most: int = MAX_COUNT) -> int: ...
    @overload
    def count(self, key: str, default: Default, least: int = 0, most: int = MAX_COUNT) -> int | Default: ...
    def count(self, key: str, default: Any = _MISSING, least: int = 0, most: int = MAX_COUNT) -> Any:
        """Return a whole number from ``least`` to ``most``; text of digits counts, since catalog and lock hold only text.

        Raises ``error`` for another number.
        """
        value = self.take(key, (int, str), default)
        if value is default:
            return value
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS):
            raise self.fail(key, f"{key!r} must be a whole number, {_shown(value)} was found.")
        if int(value) < least:
            raise self.fail(key, f"{key!r} must be at least {least}, {value} was found.")
        if int(value) > most:
            raise self.fail(key, f"{key!r} must be at most {most}, a greater number was found.")
        return int(value)

    @overload
    def number(self, key: str) -> float: ...
    @overload
    def number(self, key: str, default: Default) -> float | Default: ...
    def number(self, key: str, default: Any = _MISSING) -> Any:
        """Return a finite positive number as float, from a number or its text in ASCII digits. Raises ``error``."""
        value = self.take(key, (int, float, str), default)
        if value is default:
            return value
        # float() takes 1_0 and the digits of every script
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise self.fail(key, f"{key!r} must be a number, {_shown(value)} was found.")
        try:
            number = float(value)
        except OverflowError:
            raise self.fail(key, f"{key!r} must be a number, {_shown(value)} was found.") from None
        if not 0 < number < float("inf"):
            raise self.fail(key, f"{key!r} must be finite and above 0, {_shown(value)} was found.")
        return number

    def fraction(self, key: str) -> float:
        """Return a number above 0 and below 1. Raises ``error`` for another number."""
        number = self.number(key)
        if number >= 1:
            raise self.fail(key, f"{key!r} must be a fraction below 1, {number:g} was found. Write 0.05 for 5%.")
        return number

    @overload
    def flag(self, key: str) -> bool: ...
    @overload
    def flag(self, key: str, default: Default) -> bool | Default: ...
    def flag(self, key: str, default: Any = _MISSING) -> Any:
        """Return a bool, from JSON's true and false or from the words ``yes`` and ``no``. Raises ``error`` for another word."""
        value = self.take(key, (bool, str), default)
        if value is not default and value not in (True, False, "yes", "no"):
            raise self.fail(key, f"{key!r} must be yes or no, {_shown(value)} was found.")
        return value == "yes" if isinstance(value, str) else value

    @overload
    def texts(self, key: str) -> list[str]: ...
    @overload
    def texts(self, key: str, default: Default) -> list[str] | Default: ...
    def texts(self, key: str, default: Any = _MISSING) -> Any:
        """Return a list of texts of any form. Raises ``error`` for an item that is no text."""
        values = self.take(key, list, default)
        for value in values or ():
            if not isinstance(value, str):
                raise self.fail(key, f"{key!r} must hold only text, {_kind(value)} was found.")
        return values

    def fields(self, key: str) -> Fields:
        """Return the mapping under ``key`` as ``Fields`` of its own."""
        return Fields(self.take(key, dict), f"{self.where}.{key}", self.error)

    def each(self, key: str, names: Form | FreeText = patterns.ROW) -> Iterator[tuple[str, Fields]]:
        """Yield name and ``Fields`` of every entry of the mapping under ``key``; ``names`` is the form of all its keys."""
        table = self.fields(key)
        for name in table.keys(names):
            yield name, table.fields(name)

    def keys(self, names: Form | FreeText | None = None) -> list[str]:
        """Return all keys, in order, each of the form ``names``; for mappings whose keys are names."""
        self._asked.update(self._mapping)
        if names is not None:
            for name in self._mapping:
                self._refuse_unless(names, name, name, "a name")
        return list(self._mapping)

    def done(self) -> None:
        """Raise ``error`` for a key that no getter named: a misspelt key must not be silently without effect."""
        unknown = sorted(set(self._mapping) - self._asked, key=str)
        if unknown:
            known = ", ".join(sorted(self._asked))
            raise self.fail(unknown[0], f"the key {_shown(unknown[0])} is unknown; known are {known}.")


_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}


def _shown(value: object) -> str:
    """Return a value as messages show it: on one line, and not the whole of a megabyte."""
    return cut(repr(value), 200, "...")


def _tuple(kinds: type | tuple[type, ...]) -> tuple[type, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def _kind(value: object) -> str:
    # the YAML reader's mappings are of a class of their own
    if isinstance(value, dict):
        return _NAMES[dict]
    return _NAMES.get(type(value), type(value).__name__)
