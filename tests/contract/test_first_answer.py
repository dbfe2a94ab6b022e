"""How long a service is waited for that has not answered yet."""

from __future__ import annotations

import pytest

from runner.contract import first_answer


def test_with_the_start_of_python_a_refusal_takes_less_than_five_seconds() -> None:
    assert first_answer.DEFAULT_S <= 3


@pytest.mark.parametrize(
    "value, limit_s",
    [("30", 30.0), ("0.5", 0.5), ("", 3.0), ("0", 3.0), ("-1", 3.0), ("nan", 3.0), ("inf", 3.0), ("soon", 3.0)],
)
def test_a_person_may_allow_more(monkeypatch: pytest.MonkeyPatch, value: str, limit_s: float) -> None:
    monkeypatch.setenv(first_answer.VARIABLE, value)
    assert first_answer.limit_s() == limit_s
