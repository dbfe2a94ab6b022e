"""Fill in templates with Jinja2: the only module that knows it. Whatever is filled in is escaped, unless it is marked as markup."""

from __future__ import annotations

from collections.abc import Mapping

import jinja2
from markupsafe import Markup

from runner.contract.text import printable
from runner.host.figures import svg, words
from runner.host.figures.svg import Figure


def _shown(value: object) -> str:
    """Return foreign text with control and direction-changing characters made visible."""
    return printable(str(value), 2000)


def _drawn(figure: Figure) -> Markup:
    # svg escapes every text that it is given
    return Markup(svg.on_page(figure))  # noqa: S704


def rendered(template: str, values: Mapping[str, object]) -> str:
    """Return a template of ``templates`` with ``values`` filled in. Raises an error of jinja2 for a value that is missing."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("runner.host.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.finalize = lambda value: (
        value if isinstance(value, Markup) else _shown(value) if isinstance(value, str) else value
    )
    environment.filters["drawn"] = _drawn
    environment.filters["shown"] = _shown
    environment.filters["digits"] = words.digits
    return environment.get_template(template).render(values)
