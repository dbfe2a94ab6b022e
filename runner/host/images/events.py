"""The events of images that more than one verb prints."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.contract.announce import Complaint, Event, fact
from runner.host.images.build import BuiltImage


@dataclass(frozen=True)
class ImageBuilt(Event, word="built"):
    """The image of a stack was built."""

    stack: str = field(metadata=fact("name of the stack"))
    image: str = field(metadata=fact("local id of the image"))
    tag: str = field(metadata=fact("local name of the image"))
    base: str = field(metadata=fact("reference of the image that it stands on"))
    base_is_pinned: bool = field(metadata=fact("whether the base is the one of versions.lock, and no stand-in"))
    inputs: str = field(metadata=fact("hash of all that the image was built from"))
    packages: int = field(metadata=fact("number of Python packages in the image"))
    size_bytes: int = field(metadata=fact("size of the image's layers"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.stack}: {self.image} of {self.base}, {self.packages} packages, {self.size_bytes / 1e6:.0f} MB"

    @classmethod
    def of(cls, stack: str, built: BuiltImage) -> ImageBuilt:
        """Return the event of an image that was built."""
        return cls(
            stack=stack,
            image=built.image,
            tag=built.tag,
            base=built.base,
            base_is_pinned=built.pinned,
            inputs=built.inputs,
            packages=built.packages,
            size_bytes=built.bytes,
        )


@dataclass(frozen=True)
class OtherBuilder(Complaint, word="other-builder"):
    """The image of a stack was built by another buildah than the one of versions.lock."""

    stack: str = field(metadata=fact("name of the stack"))
    message: str = field(metadata=fact("which buildah built it, and what that means"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.stack}: {self.message}"


@dataclass(frozen=True)
class ImagePushed(Event, word="pushed"):
    """The image of a stack was pushed, and its digest written into versions.lock."""

    stack: str = field(metadata=fact("name of the stack"))
    reference: str = field(metadata=fact("reference of the image by digest"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.stack}: pushed as {self.reference}, and written into versions.lock"
