"""The JSON of ``vllm bench latency``, for one request: seconds, as vLLM's own scripts read it.

Keys as of vllm-project/vllm vllm/benchmarks/latency.py. vLLM counts calls of one process; here each value is one launch, of which the
published estimator has made one number.
"""

from __future__ import annotations

import statistics

from runner.host.exports import conditions, json_text
from runner.host.judging import percentiles
from runner.host.judging.measured import Measured

# Those that vLLM writes, each of which its script convert-results-json-to-markdown.py reads.
PERCENTS = (10, 25, 50, 75, 90, 99)


def text(measured: Measured) -> str:
    """Return the launches of one request, which has times. The key ``bloomz_bench`` holds what vLLM's keys cannot say.

    ``std_latency`` is that of the population, as vLLM has it, and null for one launch. All of vLLM's percentiles stand there, since its
    script reads every one; ``percentiles_without_support`` names those that so few launches cannot tell.
    """
    latencies_s = [sample.latency_s for sample in measured.samples]
    launches = len(latencies_s)
    return json_text.dumps(
        {
            "avg_latency": statistics.fmean(latencies_s),
            "std_latency": statistics.pstdev(latencies_s) if launches > 1 else None,
            "latencies": latencies_s,
            "percentiles": {str(percent): percentiles.percentile(latencies_s, percent) for percent in PERCENTS},
            "bloomz_bench": {
                "value": "seconds of one launch, by the published estimator",
                "notes": conditions.notes(measured),
                "percentiles_without_support": [
                    str(percent) for percent in PERCENTS if launches < percentiles.least_values(percent)
                ],
                "conditions": conditions.of(measured),
                "verdicts": conditions.verdicts(measured),
            },
        }
    )
