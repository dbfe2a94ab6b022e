"""How long a service that has not answered yet is waited for: an address may be wrong, and who asks should know within seconds.

A service that has answered once keeps the long limits of whoever asks it.
"""

from __future__ import annotations

import math
import os

# A refusal then takes less than 5 s, with the start of Python and of the largest client, that of Kubernetes.
DEFAULT_S = 3.0
VARIABLE = "BLOOMZ_BENCH_FIRST_ANSWER_S"


def limit_s() -> float:
    """Return how many seconds to wait for the first answer of a service: those of the variable, where it holds such a number."""
    try:
        asked_s = float(os.environ.get(VARIABLE, ""))
    except ValueError:
        return DEFAULT_S
    return asked_s if 0 < asked_s < math.inf else DEFAULT_S
