"""Colours in numbers: contrast as WCAG 2 defines it; colour-blind sight as Machado, Oliveira and Fernandes simulate it (2009)."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from runner.host.figures import palette
from runner.host.figures.palette import COLOURS

SCHEMES = {"light": 0, "dark": 1}
# Of a difference that nobody overlooks: CIE76 in L*a*b*, where 2.3 is just noticeable; and of lightness alone, from 0 to 100.
PLAIN, LIGHTNESS = 20.0, 15.0
# G. M. Machado, M. M. Oliveira, L. A. F. Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency,
# IEEE TVCG 15(6), 2009: the matrices of severity 1.0, for linear RGB.
SIGHTS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
    "grey": ((0.2126, 0.7152, 0.0722),) * 3,
}
# Linear sRGB to XYZ over the white point D65.
XYZ = ((0.4338, 0.3762, 0.1900), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8728))
RGB = tuple[float, float, float]


def linear(colour: str) -> RGB:
    """Return the linear red, green and blue of ``#rrggbb``."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return red, green, blue


def times(matrix: tuple[tuple[float, float, float], ...], vector: RGB) -> RGB:
    one, two, three = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return one, two, three


def contrast(one: str, other: str) -> float:
    light, dark = sorted((times(SIGHTS["grey"], linear(colour))[0] for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, sight: str) -> RGB:
    """Return L*, a* and b* of a colour as somebody of a ``sight`` sees it."""
    red, green, blue = (min(1.0, max(0.0, share)) for share in times(SIGHTS[sight], linear(colour)))
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in times(XYZ, (red, green, blue)))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_lightness_runs_from_0_to_100_and_grey_sight_sees_no_colour() -> None:
    assert lab("#000000", "full")[0] == pytest.approx(0, abs=0.01)
    assert lab("#ffffff", "full") == pytest.approx((100, 0, 0), abs=0.2)
    assert lab("#b84f00", "grey")[1:] == pytest.approx((0, 0), abs=0.2)


@pytest.mark.parametrize("sight", ["protanopia", "deuteranopia"])
def test_red_and_green_of_one_lightness_look_alike_to_the_colour_blind(sight: str) -> None:
    """The measure can fail: these two colours are far apart for full sight alone."""
    one, other = "#c04000", "#6f7a00"
    assert math.dist(lab(one, "full"), lab(other, "full")) > 2 * PLAIN
    assert math.dist(lab(one, sight), lab(other, sight)) < PLAIN


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["paper", "band"])
def test_marks_and_text_stand_out(scheme: str, ground: str) -> None:
    behind = COLOURS[ground][SCHEMES[scheme]]
    for name, least in {"ours": 4.5, "theirs": 3.0, "ink": 4.5, "quiet": 4.5}.items():
        assert contrast(COLOURS[name][SCHEMES[scheme]], behind) >= least, name


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_words_of_the_published_number_stand_out_on_paper(scheme: str) -> None:
    assert contrast(COLOURS["theirs"][SCHEMES[scheme]], COLOURS["paper"][SCHEMES[scheme]]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", SIGHTS)
def test_ours_theirs_and_their_grounds_differ_for_every_sight(scheme: str, sight: str) -> None:
    seen = {name: lab(COLOURS[name][SCHEMES[scheme]], sight) for name in ("ours", "theirs", "paper", "band")}
    for one, other in itertools.combinations(seen, 2):
        if {one, other} != {"paper", "band"}:
            assert math.dist(seen[one], seen[other]) >= PLAIN, (one, other)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ours_and_theirs_differ_by_lightness_alone(scheme: str) -> None:
    ours, theirs = (lab(COLOURS[name][SCHEMES[scheme]], "grey")[0] for name in ("ours", "theirs"))
    assert abs(ours - theirs) >= LIGHTNESS


def test_what_was_published_differs_by_its_line_too() -> None:
    rules = dict(re.findall(r"\.([a-z-]+)\{([^}]*)\}", palette.LIGHT_CSS))
    assert "stroke-dasharray" in rules["theirs-line"]
    assert "stroke-dasharray" not in rules["ours-line"]
    # the band is hardly darker than the paper: its edges are drawn
    assert f"stroke:{COLOURS['quiet'][0]}" in rules["band-edge"]


def test_the_dark_scheme_is_for_screens_alone() -> None:
    assert palette.LIGHT_CSS + f"@media screen and (prefers-color-scheme:dark){{{palette.DARK_CSS}}}" == palette.CSS
