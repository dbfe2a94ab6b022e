"""The question that the page asks, and the answer in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runner.host.figures.svg import Figure
from runner.host.judging import comparison, verdict
from runner.host.judging.comparison import Row
from runner.host.judging.measured import Measured
from runner.host.report.material import Material

HEADING: str | None = None

# What the sentence says of one cell and of several cells with a verdict, in the order of the sentence.
_PHRASES: dict[str, tuple[str, str]] = {
    verdict.REPRODUCED: ("holds within its margin", "hold within their margins"),
    verdict.SLOWER: ("is slower", "are slower"),
    verdict.FASTER: ("is faster", "are faster"),
    verdict.INCONCLUSIVE: ("needs more launches", "need more launches"),
    verdict.PROVISIONAL: (
        "has a single launch, which decides nothing",
        "have a single launch each, which decides nothing",
    ),
    verdict.INVALID: ("is invalid", "are invalid"),
}
# Values of one fact that the page names.
_MOST_NAMES = 12


@dataclass(frozen=True)
class Fact:
    """A short fact of the page: its name, and its values in words."""

    name: str
    values: list[str]


@dataclass(frozen=True)
class Answer:
    """The answer on the publication that the page shows first, its ``source``.

    ``verdicts`` counts the published cells by the verdict of what the page sets beside each, with ``walk-through`` and ``not measured``
    for the others. ``sentence`` says this in words. ``headline`` says which cells may be called slower together, None where no cell is
    slower. ``others`` holds one sentence for each further publication beside whose cells something was measured.
    """

    source: str | None
    published: int
    verdicts: dict[str, int]
    sentence: str
    headline: str | None
    others: list[str]
    facts: list[Fact]


def content(material: Material) -> Answer:
    """Return the answer, which every page has."""
    source, others = (material.sources[-1], material.sources[:-1]) if material.sources else (None, [])
    rows = _rows(material, source)
    sentence = _sentence(rows) if material.measured or not rows else _published_alone(len(rows))
    return Answer(
        source=source,
        published=len(rows),
        verdicts=dict(Counter(_word(row) for row in rows)),
        sentence=f"An example, not a measurement: {_lower(sentence)}" if material.example is not None else sentence,
        headline=_headline([row for row in rows if row is not None]),
        others=[_sentence(found, name) for name in others if any(found := _rows(material, name))],
        facts=list(_facts(material, source)),
    )


def figures(content: object) -> list[Figure]:
    """Return no figure: the answer is a sentence."""
    return []


def _rows(material: Material, source: str | None) -> list[Row | None]:
    """Return for each cell of a publication the row that the page sets beside it, None for a cell that was not measured."""
    names = material.claims_of(source) if source is not None else ()
    return [pair and pair[1] for pair in map(material.this_run, names)]


def _word(row: Row | None) -> str:
    if row is None:
        return "not measured"
    return row.word


def _sentence(rows: Sequence[Row | None], source: str | None = None) -> str:
    """Return in one sentence what became of published cells; ``source`` names their publication where the page shows several."""
    of = f" of {source}" if source else ""
    if not rows:
        return "The publication that is shown has no cells, so there is nothing to compare."
    words = Counter(_word(row) for row in rows)
    decided = [f"{words[word]} {_phrase(word, words[word])}" for word in _PHRASES if words[word]]
    measured = sum(words[word] for word in _PHRASES)
    start = f"Of {len(rows)} published {'cell' if len(rows) == 1 else 'cells'}{of}"
    parts = [f"{start}, {measured} {_was(measured)} measured here: {', '.join(decided)}"]
    if not measured:
        parts = [
            f"{start}, none was measured here" if len(rows) > 1 else f"The published cell{of} was not measured here"
        ]
    unlike = words[verdict.NOT_COMPARABLE]
    if unlike:
        stands = "stands a measurement" if unlike == 1 else "stand measurements"
        parts.append(f"beside {unlike} {stands} that cannot be compared{_why(rows)}")
    if words[verdict.NO_RESULT]:
        parts.append(f"for {words[verdict.NO_RESULT]} no launch is complete")
    if words["walk-through"]:
        parts.append(f"beside {words['walk-through']} stands a walk-through on a CPU, which reproduces no cell")
    if measured and words["not measured"]:
        parts.append(f"{words['not measured']} {_was(words['not measured'])} not measured")
    return f"{'; '.join(parts)}."


def _published_alone(number: int) -> str:
    """Return the sentence of a page for which no result was read."""
    cells, them = ("cell", "it") if number == 1 else ("cells", "them")
    return f"This page shows {number} published {cells}, and no result beside {them}."


def _phrase(word: str, number: int) -> str:
    return _PHRASES[word][number > 1]


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _why(rows: Sequence[Row | None]) -> str:
    """Return the condition that most often forbids to compare, in words."""
    unlike = [row for row in rows if row is not None and _word(row) == verdict.NOT_COMPARABLE]
    conditions = Counter(name for row in unlike for name in dict.fromkeys(each.condition for each in row.differences))
    if not conditions:
        return ""
    often = "" if len(conditions) == 1 else " most often" if len(unlike) > 1 else " among other reasons"
    return f",{often} because {_differs(conditions.most_common(1)[0][0])}"


def _differs(condition: str) -> str:
    """Return in words that a condition differs."""
    if condition == "emulated":
        return "something stood in for the device"
    # weights, devices, input tokens, graphs, shapes
    return f"the {condition} {'differ' if condition.endswith('s') else 'differs'}"


def _headline(rows: Sequence[Row]) -> str | None:
    """Return which cells may be called slower together, None where no cell is slower."""
    slower = [row for row in rows if row.verdict.word == verdict.SLOWER]
    if not slower:
        return None
    decided = len(comparison.decided(rows))
    together = set(comparison.headline(rows))
    cells = "1 cell" if decided == 1 else f"{decided} cells"
    names = "; ".join(row.published for row in slower if row.claim in together)
    if not names:
        return f"Corrected for looking at {cells} (Holm's rule), no cell may be called slower."
    return f"Slower than published, corrected for looking at {cells} (Holm's rule): {names}."


def _facts(material: Material, source: str | None) -> Iterable[Fact]:
    """Yield what was measured, on what and when, and when the page was made."""
    if source is not None:
        publication = material.catalog.claim_sources[source]
        yield Fact("Published", [f"{source}: {publication.title}", *filter(None, [publication.date])])
    measured = material.measured
    if measured:
        requests = [each.group.request for each in measured]
        yield Fact("Measured", _names(each.group.words for each in measured))
        yield Fact("Stacks", _names(request.stack.name for request in requests))
        yield Fact("Weights", _names(request.weights.kind for request in requests))
        yield Fact("Launches", _launches(measured))
        attempts = sorted(file.attempt for each in measured for file in each.files)
        yield Fact("Begun", list(dict.fromkeys(_minute(attempt) for attempt in (attempts[0], attempts[-1]))))
    if material.refused:
        yield Fact("Refused", [f"{len(material.refused):,} {'file' if len(material.refused) == 1 else 'files'}"])
    yield Fact("Page made", [material.made_utc])


def _launches(measured: Sequence[Measured]) -> list[str]:
    files = sum(len(each.files) for each in measured)
    samples, failed = sum(len(each.samples) for each in measured), sum(each.group.failed for each in measured)
    told = [f"{samples:,} timed in {files:,} {'result' if files == 1 else 'results'}"]
    return told + ([f"{failed:,} failed"] if failed else [])


def _names(names: Iterable[str]) -> list[str]:
    """Return names once each, and how many more there are than the page names."""
    once = list(dict.fromkeys(names))
    return once[:_MOST_NAMES] + ([f"{len(once) - _MOST_NAMES:,} more"] if len(once) > _MOST_NAMES else [])


def _minute(attempt: str) -> str:
    """Return the minute in which an attempt began, which its id tells."""
    return f"{attempt[:4]}-{attempt[4:6]}-{attempt[6:8]} {attempt[9:11]}:{attempt[11:13]} UTC"
