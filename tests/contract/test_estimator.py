from __future__ import annotations

import pytest

from runner.contract import estimator
from runner.contract.records import TimedPass
from tests.support import samples


@pytest.mark.parametrize("throughput, latency_s", [(129.805, 0.770), (33.057, 3.025), (41.939, 2.384)])
def test_nominal_gives_the_latency_that_the_gaudi_script_s_throughput_means(
    throughput: float, latency_s: float
) -> None:
    """Throughputs are optimum-habana's CI baselines, seconds the ones derived from them as the post does."""
    span_s = 5 * 100 / throughput
    assert estimator.nominal(span_s, 5, 1, 100, produced_tokens=0) == pytest.approx(latency_s, abs=5e-4)


def test_produced_gives_the_latency_that_the_gpu_script_s_time_per_token_means() -> None:
    """44.02 ms per token is the published BLOOM cell of 2022, 4.402 s the post's."""
    assert estimator.produced(0.04402 * 480, 5, 1, 100, produced_tokens=480) == pytest.approx(4.402)


def test_only_produced_divides_by_the_tokens_that_came_out() -> None:
    asked = samples.request()
    timed: TimedPass = {"span_s": 10.0, "iterations_s": [2.0] * 5, "output_tokens": [[50]] * 5}
    assert estimator.latency_s(asked.protocol, asked.workload, timed) == pytest.approx(2.0)
    gpu = samples.protocol(estimator="produced")
    assert estimator.latency_s(gpu, asked.workload, timed) == pytest.approx(4.0)


def test_a_batch_does_not_change_the_seconds_of_a_call() -> None:
    batch = samples.workload(batch_size=8)
    timed: TimedPass = {"span_s": 10.0, "iterations_s": [2.0] * 5, "output_tokens": [[100] * 8] * 5}
    for name in estimator.ESTIMATORS:
        assert estimator.latency_s(samples.protocol(estimator=name), batch, timed) == pytest.approx(2.0)
