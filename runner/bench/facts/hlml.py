"""Ask HLML, the library below hl-smi, for the facts of Gaudi devices, by pyhlml of the package habana-pyhlml.

The answers have the shape and the words of ``hl_smi``. Source: habana-pyhlml 1.24.2. HLML was not asked of a real device here, so an
answer in another form than hl-smi's counts as no answer.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from types import ModuleType
from typing import Callable, TypeVar

from runner.bench.facts.hl_smi import PREBOOT, Gaudis, the_only
from runner.bench.facts.present import Present

_Answer = TypeVar("_Answer")
_PRODUCT = re.compile(r"HL-\d{3}\w*")


def query() -> Gaudis | None:
    """Return what HLML says of all devices; None where pyhlml is not installed, or where the library fails."""
    return _ask(_gaudis)


def energy_j(module: int) -> float | None:
    """Return the joules of a device since the driver was loaded, by its place in the order of the modules; None as ``query`` does.

    HLML counts millijoules (hlmlDeviceGetTotalEnergyConsumption of pyhlml 1.24.2).
    """
    return _ask(lambda pyhlml: pyhlml.hlmlDeviceGetTotalEnergyConsumption(_handles(pyhlml)[module]) / 1e3)


def present() -> list[Present] | None:
    """Return all devices in the order of their modules, by name, driver and firmware alone; None as ``query`` does."""
    gaudis = query()
    if gaudis is None:
        return None
    return [
        Present(index, name, None, gaudis["driver"], None, None, module=index, firmware=gaudis["firmware"])
        for index, name in enumerate(gaudis["names"])
    ]


def _ask(question: Callable[[ModuleType], _Answer]) -> _Answer | None:
    try:
        # Without the library libhlml.so pyhlml prints a line of its own.
        with contextlib.redirect_stdout(io.StringIO()):
            pyhlml = importlib.import_module("pyhlml")
            pyhlml.hlmlInit()
        try:
            return question(pyhlml)
        finally:
            pyhlml.hlmlShutdown()
    # ImportError without the package, HLMLError without the library or of a device that is lost, AttributeError of a release of
    # pyhlml without one of the functions, IndexError of a device that is not there, ValueError of an answer in another form.
    except Exception:
        return None


def _handles(pyhlml: ModuleType) -> list[object]:
    """Return the handles of all devices in the order of their modules."""
    handles = [pyhlml.hlmlDeviceGetHandleByIndex(index) for index in range(pyhlml.hlmlDeviceGetCount())]
    handles.sort(key=pyhlml.hlmlDeviceGetModuleID)
    return handles


def _gaudis(pyhlml: ModuleType) -> Gaudis:
    """Return what HLML says of all devices. Raises ``ValueError`` for an answer in another form than hl-smi's."""
    handles = _handles(pyhlml)
    return {
        "names": [_matching(_PRODUCT, pyhlml.hlmlDeviceGetName(handle))[0] for handle in handles],
        "driver": _matching(re.compile(r"\d+\.\S+"), pyhlml.hlmlGetDriverVersion())[0] if handles else None,
        "firmware": the_only(
            [
                _matching(re.compile(f"{PREBOOT}.*"), pyhlml.hlmlDeviceGetFirmwareSPIVersion(handle))[1]
                for handle in handles
            ]
        ),
    }


def _matching(form: re.Pattern[str], text: bytes) -> re.Match[str]:
    match = form.fullmatch(text.decode().strip())
    if match is None:
        raise ValueError(f"{text!r} is not of the form {form.pattern}")
    return match
