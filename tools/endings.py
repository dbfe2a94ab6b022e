"""End a tool as the kit's front door ends: with a sentence and an exit code, for every error that a person or a job can act on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from runner.contract import files
from runner.contract.errors import InputError, Interrupted, KitError
from runner.contract.secrets import mask
from runner.contract.text import printable


def status_of(tool: str, work: Callable[[], int]) -> int:
    """Do the work of a tool, and return its exit code; an error becomes one line on standard error that begins with the tool's name."""
    try:
        return work()
    except KitError as error:
        told, code = str(error), error.exit_code
    except KeyboardInterrupt:
        told, code = "stopped. Run the same command again.", Interrupted.exit_code
    except OSError as problem:
        where = f"{os.fsdecode(problem.filename)}: " if isinstance(problem.filename, (str, bytes)) else ""
        told, code = f"{where}{files.reason(problem)}. Make room or name another place.", InputError.exit_code
    print(f"{tool}: {printable(mask(told))}", file=sys.stderr)
    return code
