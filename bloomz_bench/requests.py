"""Make the request of a case, as the verb ``request`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from runner.contract.request import Request
from runner.contract.words import Engine, Precision, WeightsKind
from runner.host import cases
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RequestChanges(TypedDict, total=False):
    """What ``make_request`` takes instead of the values of a case. The names are those of the flags of the verb ``request``."""

    model: str
    weights: WeightsKind
    seed: int
    precision: Precision
    devices: int
    protocol: str
    engine: Engine
    launches: int
    margin: str
    batch_size: int
    input_tokens: int
    output_tokens: int
    dataset_file: Path
    dataset: str
    configuration: str
    split: str
    column: str
    rows: int


def make_request(case: str, **changes: Unpack[RequestChanges]) -> Request:
    """Return the request of a case of the catalog, every pin of versions.lock filled in, with ``changes`` to the case.

    Raises ``UsageError`` for an unknown name and for a number out of bounds, ``InputError`` for a word that no request may hold and
    for a file that cannot be read, ``Unsupported`` where the devices cannot share the model, and ``UnresolvedPin`` for a pin that
    versions.lock leaves open.

    >>> from bloomz_bench import make_request
    >>> request = make_request("cpu-1", launches=3)
    >>> request.case, request.devices, request.launches
    ('cpu-1', 1, 3)
    """
    return cases.make(catalogs.read(), lockfile.read(), case, cases.Changes(**changes))


def write_request(request: Request, folder: str | Path = "build/requests") -> Path:
    """Write a request into ``folder`` as ``ID.json``, for the verb ``bench``, and return the path of the file.

    Raises ``InputError`` where the file cannot be written.

    >>> import tempfile
    >>> from bloomz_bench import make_request, write_request
    >>> request = make_request("cpu-1")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_request(request, folder)
    >>> path.name == f"{request.id}.json"
    True
    """
    return cases.write(request, Path(folder), "Name another folder.")
