"""Parquet, one row for each launch: the columns of ``LaunchRecord`` with their types. The one door to pyarrow."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from types import ModuleType

from runner import __version__
from runner.contract.errors import Unsupported
from runner.host.exports.conditions import foreign
from runner.host.exports.launches import LaunchRecord, records
from runner.host.judging.measured import Measured

# The type of each column that holds no text, in pyarrow's words; a list holds what stands behind it.
_TYPES = {
    **dict.fromkeys(("launch", "devices", "batch_size", "input_tokens", "output_tokens"), "int64"),
    **dict.fromkeys(("walk_through", "emulated"), "bool"),
    **dict.fromkeys(("latency_s", "ttft_s", "tpot_s", "energy_j"), "float64"),
    **dict.fromkeys(("flagged", "claims", "verdicts"), "list string"),
    **dict.fromkeys(("published_s", "ratios"), "list float64"),
}


def data(measured: Sequence[Measured]) -> bytes:
    """Return the table of all launches as a Parquet file; an unknown value is null. Raises ``Unsupported`` without pyarrow."""
    if importlib.util.find_spec("pyarrow") is None:
        raise Unsupported(
            'Parquet needs pyarrow, which is not installed here. Run `make export ARGS="parquet --out FILE"`, which installs it, or'
            " take the format csv, which has the same columns."
        )
    import pyarrow
    from pyarrow import parquet

    launches = list(records(measured))
    columns = {
        name: pyarrow.array([_value(getattr(launch, name)) for launch in launches], type=_type(pyarrow, name))
        for name in LaunchRecord.__slots__
    }
    table = pyarrow.table(columns, metadata={"bloomz-bench": __version__})
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def _type(pyarrow: ModuleType, column: str) -> object:
    *is_list, kind = _TYPES.get(column, "string").split()
    of_pyarrow = pyarrow.type_for_alias(kind)
    return pyarrow.list_(of_pyarrow) if is_list else of_pyarrow


def _value(value: object) -> object:
    if isinstance(value, list):
        return [_value(item) for item in value]
    return foreign(value) if isinstance(value, str) else value
