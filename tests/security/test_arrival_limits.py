"""A flood of valid links: by one address, and by one YClients user from many addresses."""

from typing import Any

import pytest

from config.shared import rate_limits
from tests.onboarding.arrivals import come, sign
from tests.servers import Redis

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _few(settings: Any) -> None:
    settings.ARRIVALS_PER_MINUTE = 6
    settings.REDIS_URL = ""
    rate_limits.forget()


def statuses(count: int) -> list[int]:
    return [come({"salon_id": "x"}).status_code for _ in range(count)]


def test_an_address_is_refused_beyond_its_share_and_told_when_to_come_back() -> None:
    assert statuses(6) == [400] * 6
    refused = come({"salon_id": "x"})
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert "Too many visits" in refused.content.decode()


def test_a_written_forwarding_header_makes_nobody_another_client(settings: Any) -> None:
    settings.TRUSTED_PROXIES = 0
    for number in range(6):
        come({"salon_id": "x"}, **{"X-Forwarded-For": f"203.0.113.{number}"})
    assert come({"salon_id": "x"}, **{"X-Forwarded-For": "203.0.113.99"}).status_code == 429


def test_a_user_is_refused_from_whichever_address(settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    settings.YCLIENTS_VERIFY_INSTALLATION = True
    link = {"salon_id": 307626, **sign({"user_id": 5})}
    answers = [come(link, **{"X-Forwarded-For": f"203.0.113.{number}"}).status_code for number in range(4)]
    assert answers[-1] == 429
    assert 429 not in answers[:3]


def test_visits_are_counted_by_each_process_while_redis_is_away(settings: Any, own_redis: Redis) -> None:
    settings.REDIS_URL = own_redis.url
    assert statuses(3) == [400] * 3
    own_redis.stop()
    assert statuses(7) == [400] * 6 + [429]
