"""Read the published numbers of images: how long an image of Stable Diffusion takes, and the factors that are claimed of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from runner.contract import patterns
from runner.contract.fields import Fields
from runner.contract.request import MAX_DEVICES
from runner.host.readers.printed import printed

# bfloat16/float32: mixed precision, in which some operations run in bfloat16 and the others in float32.
ImagePrecision = Literal["bfloat16", "bfloat16/float32", "float16"]
ImageUnit = Literal["s/image", "images/s"]
# From a number in each unit to the seconds of one image.
UNITS: dict[ImageUnit, Callable[[float], float]] = {
    "s/image": lambda seconds: seconds,
    "images/s": lambda rate: 1 / rate,
}


@dataclass(frozen=True)
class ImageClaim:
    """A published number of images and its conditions; ``value`` is the number as printed, whose digits tell how it was rounded.

    ``batch_sizes`` are the batches that the one number stands for.
    """

    source: str
    accelerator: str
    devices: int
    model: str
    precision: ImagePrecision
    batch_sizes: tuple[int, ...]
    value: str
    unit: ImageUnit

    @property
    def seconds_per_image(self) -> float:
        """Return the seconds of one image."""
        return UNITS[self.unit](float(self.value))


@dataclass(frozen=True)
class ImageRatio:
    """A factor that sources claim in words, and the two numbers of images that it comes from.

    ``faster`` is None where no source gives the number of the faster side.
    """

    sources: tuple[str, ...]
    says: str
    slower: str
    faster: str | None


def claim_of_row(row: Fields) -> ImageClaim:
    """Return a published number. Raises ``InputError`` for a row that cannot be right."""
    batch_sizes = tuple(map(int, row.forms("batch_sizes", patterns.NUMBER)))
    if not batch_sizes or min(batch_sizes) < 1:
        raise row.fail(
            "batch_sizes", "'batch_sizes' must name every batch that the number stands for, each at least 1."
        )
    claim = ImageClaim(
        source=row.form("source", patterns.ROW),
        accelerator=row.form("accelerator", patterns.ROW),
        devices=row.count("devices", least=1, most=MAX_DEVICES),
        model=row.form("model", patterns.ROW),
        precision=row.choice("precision", get_args(ImagePrecision)),
        batch_sizes=batch_sizes,
        value=printed(row, "value"),
        unit=row.choice("unit", tuple(UNITS)),
    )
    row.done()
    return claim


def ratio_of_row(row: Fields) -> ImageRatio:
    """Return a claimed factor. Raises ``InputError`` for a row that cannot be right."""
    sources = row.forms("sources", patterns.ROW)
    if not sources:
        raise row.fail("sources", "'sources' names none. Name every source that claims the factor.")
    ratio = ImageRatio(
        sources=tuple(sources),
        says=printed(row, "says"),
        slower=row.form("slower", patterns.ROW),
        faster=row.form("faster", patterns.ROW, None),
    )
    row.done()
    return ratio
