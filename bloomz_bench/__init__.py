"""The Python API: make requests, read results, judge them against the published numbers or against earlier results.

Nothing here decides anything: each function calls what the command line calls. No module of ``runner`` imports this package.
"""

from __future__ import annotations

from bloomz_bench.published import claims
from bloomz_bench.requests import RequestChanges, make_request, write_request
from bloomz_bench.results import changes, read_results, verdicts
from runner import __version__
from runner.contract.errors import DamagedResult, InputError, KitError, UnresolvedPin, Unsupported, UsageError
from runner.contract.request import Request
from runner.host.judging.comparison import Difference, Row
from runner.host.judging.run_changes import RunChange
from runner.host.judging.verdict import Verdict, VerdictWord
from runner.host.readers.catalog import Claim
from runner.host.results.attempts import AttemptSummary, LaunchSummary, TimedSummary
from runner.host.results.result_files import ReadResult

__all__ = [
    "AttemptSummary",
    "Claim",
    "DamagedResult",
    "Difference",
    "InputError",
    "KitError",
    "LaunchSummary",
    "ReadResult",
    "Request",
    "RequestChanges",
    "Row",
    "RunChange",
    "TimedSummary",
    "UnresolvedPin",
    "Unsupported",
    "UsageError",
    "Verdict",
    "VerdictWord",
    "__version__",
    "changes",
    "claims",
    "make_request",
    "read_results",
    "verdicts",
    "write_request",
]
