"""Draw the output of a program as an SVG picture: text on a dark card, which reads well on a light and on a dark page."""

from __future__ import annotations

from xml.sax.saxutils import escape

WIDTH_OF_A_LETTER, HEIGHT_OF_A_LINE, EDGE, BAR = 8.4, 20, 20, 34
# Words of the output that carry the meaning, with their colours.
COLOURS = {
    "walk-through, not a reproduction": "#f0c674",
    "flagged:": "#f0c674",
    "verdict": "#8abeb7",
    "published": "#8abeb7",
}


def terminal(command: str, output: str, title: str) -> str:
    """Return an SVG of a terminal that ran ``command``; ``title`` says in words what the picture shows."""
    lines = [f"$ {command}", *output.rstrip().splitlines()]
    width = round(2 * EDGE + WIDTH_OF_A_LETTER * max(map(len, lines)))
    height = BAR + EDGE + HEIGHT_OF_A_LINE * len(lines)
    texts = [
        f'<text x="{EDGE}" y="{BAR + HEIGHT_OF_A_LINE * (number + 1)}" xml:space="preserve">{_coloured(line)}</text>'
        for number, line in enumerate(lines)
        if line
    ]
    dots = [
        f'<circle cx="{EDGE + 18 * n}" cy="17" r="6" fill="{fill}"/>'
        for n, fill in enumerate(("#cc6666", "#f0c674", "#b5bd68"))
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            "<style>text { font: 14px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #d6dae0 }</style>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#1d2430" stroke="#3b4557"/>',
            *dots,
            *texts,
            "</svg>\n",
        ]
    )


def _coloured(line: str) -> str:
    """Return the markup of one line, whose telling words have their colours."""
    if line.startswith("$ "):
        return f'<tspan fill="#b5bd68">{escape(line)}</tspan>'
    marked = escape(line)
    for words, colour in COLOURS.items():
        marked = marked.replace(words, f'<tspan fill="{colour}">{words}</tspan>')
    return marked
