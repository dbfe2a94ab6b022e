"""Take typed fields out of a mapping by hand, with a closed schema and errors that name the place.

Annotations are not reflected on: ``typing.get_type_hints`` fails on Python 3.8 for modern annotations.
"""

from runner.contract.errors import InputError
from runner.contract.strictjson import MAX_DIGITS

_MISSING = object()


class Fields:
    """One mapping being read. Every getter names the key it wants; ``done()`` refuses keys that nobody asked for.

    A mapping may carry ``lines``, key to line number in its file; messages then say the line.
    """

    def __init__(self, mapping, where, error=InputError):
        self.where, self.error = where, error
        if not isinstance(mapping, dict):
            raise error(f"{where}: a mapping is expected, {_kind(mapping)} was found.")
        self._mapping, self._asked = mapping, set()

    def fail(self, key, problem):
        """Return the error for ``key``: the place, the line where it is known, and the problem."""
        line = getattr(self._mapping, "lines", {}).get(key)
        return self.error(f"{self.where}{f' (line {line})' if line else ''}: {problem}")

    def take(self, key, kinds, default=_MISSING):
        """Return the value under ``key``, which must be of one of the types ``kinds``; bool never passes for a number."""
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

    def optional(self, getter, key):
        """Return what ``getter`` (``Fields.text``, say) reads under ``key``; None where null stands there."""
        self._asked.add(key)
        return None if key in self._mapping and self._mapping[key] is None else getter(self, key)

    def text(self, key, default=_MISSING):
        return self.take(key, str, default)

    def choice(self, key, options, default=_MISSING):
        value = self.take(key, str, default)
        if value is not default and value not in options:
            raise self.fail(key, f"{key!r} is {value!r}; it must be one of {', '.join(sorted(options))}.")
        return value

    def pattern(self, key, regex, what, default=_MISSING):
        """Return text that the compiled ``regex`` matches whole; ``what`` says in words what it must be."""
        value = self.take(key, str, default)
        if value is not default and not regex.fullmatch(value):
            raise self.fail(key, f"{key!r} must be {what}, {value!r} was found.")
        return value

    def count(self, key, default=_MISSING, least=0):
        """Return a whole number of at least ``least``; text of digits counts, since catalog and lock hold only text."""
        value = self.take(key, (int, str), default)
        if value is default:
            return value
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS):
            raise self.fail(key, f"{key!r} must be a whole number, {value!r} was found.")
        if int(value) < least:
            raise self.fail(key, f"{key!r} must be at least {least}, {value} was found.")
        return int(value)

    def number(self, key, default=_MISSING):
        """Return a finite positive number as float, from a number or its text."""
        value = self.take(key, (int, float, str), default)
        if value is default:
            return value
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise self.fail(key, f"{key!r} must be a number, {value!r} was found.") from None
        if not 0 < number < float("inf"):
            raise self.fail(key, f"{key!r} must be finite and above 0, {value!r} was found.")
        return number

    def fraction(self, key: str) -> float:
        """Return a number above 0 and below 1."""
        number: float = self.number(key)
        if number >= 1:
            raise self.fail(key, f"{key!r} must be a fraction below 1, {number:g} was found. Write 0.05 for 5%.")
        return number

    def flag(self, key, default=_MISSING):
        """Return a bool, from JSON's true and false or from the words ``yes`` and ``no``."""
        value = self.take(key, (bool, str), default)
        if value is not default and value not in (True, False, "yes", "no"):
            raise self.fail(key, f"{key!r} must be yes or no, {value!r} was found.")
        return value == "yes" if isinstance(value, str) else value

    def texts(self, key, default=_MISSING):
        values = self.take(key, list, default)
        for value in values or ():
            if not isinstance(value, str):
                raise self.fail(key, f"{key!r} must hold only text, {_kind(value)} was found.")
        return values

    def fields(self, key):
        return Fields(self.take(key, dict), f"{self.where}.{key}", self.error)

    def each(self, key):
        """Yield name and ``Fields`` of every entry of the mapping under ``key``; for tables whose keys are names."""
        table = self.fields(key)
        for name in table.keys():
            yield name, table.fields(name)

    def keys(self):
        """Return all keys, in order; for mappings whose keys are names."""
        self._asked.update(self._mapping)
        return list(self._mapping)

    def done(self):
        """Refuse what was not asked for: a misspelt key must not be silently without effect."""
        unknown = sorted(set(self._mapping) - self._asked, key=str)
        if unknown:
            known = ", ".join(sorted(self._asked))
            raise self.fail(unknown[0], f"the key {unknown[0]!r} is unknown; known are {known}.")


_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}


def _tuple(kinds):
    return kinds if isinstance(kinds, tuple) else (kinds,)


def _kind(value):
    return _NAMES.get(type(value), type(value).__name__)
