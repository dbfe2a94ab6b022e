"""Open one file of tensors without running code from it: safetensors by slices, ``*.bin`` as plain data."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, ContextManager, Iterable, Iterator, Protocol, Sequence

from runner.contract import files
from runner.contract.errors import InputError
from runner.contract.text import first_line

if TYPE_CHECKING:
    import torch


class Slices(Protocol):
    """A stored tensor that is read by slices: a slice of safetensors, or a tensor of a ``*.bin``."""

    def __getitem__(self, key: slice | tuple[slice, ...]) -> torch.Tensor: ...


class TensorFile(Protocol):
    """An open file of tensors."""

    def keys(self) -> Iterable[str]:
        """Return the keys of the tensors."""
        ...

    def get_slice(self, key: str) -> Slices:
        """Return a tensor, unread until it is sliced where the file's form allows."""
        ...


def open_tensors(path: str, form: str) -> ContextManager[TensorFile]:
    """Open a file of a form, ``safetensors`` or ``bin``. Raises ``InputError`` for a damaged file and for other data."""
    return (_open_safetensors if form == "safetensors" else _open_bin)(path)


def shape_of(stored: Slices) -> tuple[int, ...]:
    """Return the shape of a stored tensor, which a slice of safetensors tells by ``get_shape`` and a tensor by ``shape``."""
    get_shape = getattr(stored, "get_shape", None)
    shape: Sequence[int] = get_shape() if get_shape is not None else stored.shape  # type: ignore[attr-defined]  # a tensor
    return tuple(shape)


@contextmanager
def _opened(path: str) -> Iterator[str]:
    """Yield a path to the open file: libraries that open the path again get the same file, never a FIFO or another file."""
    try:
        file = files.open_regular(path)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {files.reason(problem)}. Check --model-dir.") from None
    with file:
        yield f"/proc/self/fd/{file.fileno()}"


@contextmanager
def _open_safetensors(path: str) -> Iterator[TensorFile]:
    import safetensors

    with _opened(path) as opened:
        try:
            tensors = safetensors.safe_open(opened, framework="pt")
        # The class of the error belongs to the extension module.
        except Exception as problem:
            raise _refused(path, problem) from None
        with tensors:
            yield tensors


@contextmanager
def _open_bin(path: str) -> Iterator[TensorFile]:
    """Yield a ``*.bin`` as a mapping of tensors, loaded with ``weights_only`` and mapped from disk where torch can map it."""
    import torch

    # torch.load maps files since torch 2.1.
    mapped = {"mmap": True} if "mmap" in inspect.signature(torch.load).parameters else {}
    with _opened(path) as opened:
        try:
            try:
                tensors = torch.load(opened, map_location="cpu", weights_only=True, **mapped)
            # Files written before torch 1.6 are not zip archives and cannot be mapped.
            except RuntimeError:
                tensors = torch.load(opened, map_location="cpu", weights_only=True)
        # Unpickling and zip raise a dozen classes.
        except Exception as problem:
            raise _refused(path, problem) from None
        whole = isinstance(tensors, dict) and all(isinstance(key, str) for key in tensors)
        if not whole or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
            raise _refused(path, "what it holds is no mapping from names to tensors")
        yield _Bin(tensors)


class _Bin:
    """The tensors of a ``*.bin``, with the methods of safetensors."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._tensors = tensors

    def keys(self) -> list[str]:
        return list(self._tensors)

    def get_slice(self, key: str) -> torch.Tensor:
        return self._tensors[key]


def _refused(path: str, problem: Exception | str) -> InputError:
    reason = first_line(problem, 200)
    return InputError(
        f"{path} is refused: it is no whole, plain file of tensors ({reason}). Fetch it again, or take safetensors."
    )
