"""How long a service that has not answered yet is waited for: an address may be wrong, and who asks should know within seconds.

A service that has answered once keeps the long limits of whoever asks it.
"""

from __future__ import annotations

import math
import os

# With the start of Python, a refusal then takes less than 5 s.
DEFAULT_S = 4.0
VARIABLE = "BLOOMZ_BENCH_FIRST_ANSWER_S"


def limit_s() -> float:
    """Return how many seconds to wait for the first answer of a service: those of the variable, where it holds such a number."""
    try:
        asked_s = float(os.environ.get(VARIABLE, ""))
    except ValueError:
        return DEFAULT_S
    return asked_s if 0 < asked_s < math.inf else DEFAULT_S


def advice() -> str:
    """Return how to wait longer, for the end of a message."""
    return f"{VARIABLE}=60 waits longer for a first answer"
