import pytest

from runner.bench.rank import device_log


def observed(**told):
    return {**dict.fromkeys(device_log.OBSERVED), **told}


def test_counters_are_differences_and_lists_are_unions():
    found = device_log.summary(
        observed(memory_bytes=100, cached_kernels=3, foreign_processes=[9]),
        observed(memory_bytes=700),
        observed(compilations=4, fallbacks=5, foreign_processes=[], throttle_reasons=["heat"]),
        observed(compilations=6, fallbacks=8, foreign_processes=[8, 9], throttle_reasons=[]),
    )
    assert found == {
        "memory_rise_bytes": 600,
        "compilations": 2,
        "cached_kernels": 3,
        "fallbacks": 3,
        "foreign_processes": [8, 9],
        "throttle_reasons": ["heat"],
    }


def test_what_was_not_told_once_is_not_told_at_all():
    told = observed(memory_bytes=1, compilations=1, foreign_processes=[], throttle_reasons=[])
    assert set(device_log.summary({}, told, {}, told).values()) == {None}
    assert device_log.summary(told, told, told, {})["foreign_processes"] is None


@pytest.mark.parametrize(
    "name, looked",
    [
        *(("foreign_processes", "opened"), ("foreign_processes", "before"), ("foreign_processes", "after")),
        *(("throttle_reasons", "before"), ("throttle_reasons", "after")),
    ],
)
def test_what_was_seen_at_any_look_is_told(name, looked):
    parts = {when: observed(**{name: ["x"] if when == looked else []}) for when in ("opened", "before", "after")}
    assert device_log.summary(parts["opened"], {}, parts["before"], parts["after"])[name] == ["x"]
