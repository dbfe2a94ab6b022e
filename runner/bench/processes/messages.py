"""The marks of the lines that a rank prints for the parent process."""

from __future__ import annotations

# The parent shows what follows this mark as progress. Every other line of a rank's output is kept for the case of a failure.
PROGRESS = "@bench "
# A rank on another host prints its last error, as JSON, behind this mark.
ERROR = "@bench-error "
