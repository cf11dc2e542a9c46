"""The pause before the next try: never zero, never endless, and no shorter than what was asked for."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.shared.backoff import RETRY_AFTER_MOST, backoff
from marketplace.yclients.call_errors import Kind, YClientsError, pause_after
from whatsapp.sessions import policy


@given(
    attempt=st.integers(0, 10_000),
    first=st.floats(0.01, 100),
    factor=st.floats(1, 10_000),
    retry_after=st.none() | st.floats(0, 1e9),
)
def test_a_pause_lies_between_half_the_first_and_the_longest(
    attempt: int, first: float, factor: float, retry_after: float | None
) -> None:
    assert first / 2 <= backoff(attempt, first=first, longest=first * factor) <= first * factor
    asked = backoff(attempt, first=first, longest=first * factor, retry_after=retry_after)
    assert min(retry_after or 0, RETRY_AFTER_MOST) <= asked <= max(first * factor, RETRY_AFTER_MOST)


@pytest.mark.parametrize("attempt", [1, 2, 5, 50])
def test_pauses_spread_over_the_whole_range(attempt: int) -> None:
    pauses = [backoff(attempt, first=1, longest=60) for _ in range(2000)]
    ceiling = min(60, 2 ** (attempt - 1))
    assert min(pauses) < 0.5 + 0.05 * ceiling
    assert max(pauses) > 0.95 * ceiling


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_no_formula_of_ours_can_come_to_nothing(attempt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, _most: least)
    assert policy.backoff(attempt) >= 0.5
    assert policy.send_backoff(attempt) >= 0.5
    assert pause_after(YClientsError(Kind.NETWORK, "gone"), attempt) > 0


def test_a_pause_that_yclients_asks_for_is_not_cut_short() -> None:
    assert pause_after(YClientsError(Kind.UNAVAILABLE, "slow down", retry_after=90), 1) == 90
