"""The pause before something that failed is tried again."""

import random

MOST_DOUBLINGS = 30  # beyond any pause that is used, and far below where a float ends
RETRY_AFTER_MOST = 3600.0  # seconds; who asks for more is not believed


def backoff(attempt: int, *, first: float, longest: float, retry_after: float | None = None) -> float:
    """Seconds to wait after the failed try number `attempt` (the first one is 1).

    Exponential with full jitter: evenly spread between half of `first` and `first` doubled with each try, at
    most `longest`. Never zero: a failure must not turn into a busy loop. It is at least what the other side
    asked for in `retry_after`, up to RETRY_AFTER_MOST.
    """
    ceiling = min(longest, first * 2.0 ** min(max(attempt, 1) - 1, MOST_DOUBLINGS))
    jittered = random.uniform(min(first / 2, ceiling), ceiling)  # noqa: S311  spreads load, is no secret
    return max(jittered, min(retry_after or 0.0, RETRY_AFTER_MOST))
