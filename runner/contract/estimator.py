"""The published estimators: how each script turned its clock into the number that the post prints.

Sources: huggingface/optimum-habana run_generation.py (throughput = calls * batch * max_new_tokens / span, the post's
latency is 100 / throughput) and huggingface/transformers-bloom-inference bloom-ds-inference.py (span / tokens really
produced, printed per token; the post's latency is 100 of them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from runner.contract.records import TimedPass
from runner.contract.words import Estimator

if TYPE_CHECKING:
    from runner.contract.request import Protocol, Workload


def nominal(span_s: float, calls: int, batch_size: int, output_tokens: int, produced_tokens: int) -> float:
    """Return seconds per call, as the Gaudi script: the number of tokens that was asked for is assumed, never counted."""
    throughput = calls * batch_size * output_tokens / span_s
    return batch_size * output_tokens / throughput


def produced(span_s: float, calls: int, batch_size: int, output_tokens: int, produced_tokens: int) -> float:
    """Return seconds per call of full length, as the GPU script: the span is divided by the tokens that came out.

    Raises ``ZeroDivisionError`` where no token came out.
    """
    return span_s / produced_tokens * batch_size * output_tokens


ESTIMATORS: dict[Estimator, Callable[[float, int, int, int, int], float]] = {"nominal": nominal, "produced": produced}


def latency_s(protocol: Protocol, workload: Workload, timed: TimedPass) -> float:
    """Return the latency in seconds that the protocol's estimator gives for the timed pass of a launch.

    Raises ``ZeroDivisionError`` where the estimator divides by a count of tokens or a span that is zero.
    """
    return ESTIMATORS[protocol.estimator](
        timed["span_s"],
        len(timed["iterations_s"]),
        workload.batch_size,
        workload.output_tokens,
        sum(sum(rows) for rows in timed["output_tokens"]),
    )
