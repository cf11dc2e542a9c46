"""Who gets in, how often, and what errors look like."""

from typing import Any

import pytest
from django.test import Client

from config import settings as product_settings
from config.shared import rate_limits
from marketplace.models import Company
from tests.marketplace.api.conftest import BASE, ApiCaller, caller_for
from tests.marketplace.clients import IVAN
from tests.marketplace.salons_data import MOSCOW
from tests.servers import Redis

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESSES = ("/messages", "/messages/1", "/inbound", "/sessions", "/opt-outs")


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wsk_x_y", "Basic YTpi", "Bearer " + "k" * 64])
def test_nobody_without_a_key_gets_in(path: str, header: str) -> None:
    answer = Client().get(f"{BASE}{path}", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["status"] == 401


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_key_without_the_scope_is_refused(moscow: Company, path: str) -> None:
    assert caller_for(moscow, scopes=["webhooks"]).get(path).status_code == 403


def test_a_reading_key_cannot_send(moscow: Company) -> None:
    assert caller_for(moscow, scopes=["messages:read"]).send().status_code == 403


def test_the_salons_own_key_for_yclients_is_no_api_key(moscow: Company) -> None:
    answer = Client().get(f"{BASE}/messages", headers={"Authorization": f"Bearer {moscow.api_key}"})
    assert answer.status_code == 401


def test_each_answer_says_how_much_is_left(caller: ApiCaller, settings: object) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3  # type: ignore[attr-defined]
    rate_limits.forget()
    answers = [caller.get("/sessions") for _ in range(4)]
    allowed = [answer for answer in answers if answer.status_code == 200]
    assert int(allowed[0]["RateLimit-Limit"]) == 3
    left = [int(answer["RateLimit-Remaining"]) for answer in allowed]
    assert all(0 <= number < 3 for number in left)
    refused = next(answer for answer in answers + [caller.get("/sessions") for _ in range(3)]
                   if answer.status_code == 429)  # fmt: skip
    assert int(refused["Retry-After"]) >= 1
    assert refused.json()["code"] == "throttled"


def test_one_key_does_not_use_up_another_keys_requests(moscow: Company, settings: object) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1  # type: ignore[attr-defined]
    rate_limits.forget()
    busy, other = caller_for(moscow), caller_for(moscow)
    while busy.get("/sessions").status_code != 429:
        continue
    assert other.get("/sessions").status_code == 200


def test_requests_are_counted_by_each_process_while_redis_is_away(
    caller: ApiCaller, settings: Any, own_redis: Redis
) -> None:
    settings.REDIS_URL = own_redis.url
    settings.API_REQUESTS_PER_MINUTE = 2
    rate_limits.forget()
    own_redis.stop()
    answers = [caller.get("/sessions").status_code for _ in range(3)]
    settings.REDIS_URL = ""
    rate_limits.forget()
    assert answers == [200, 200, 429]


def test_what_is_no_json_is_a_problem(caller: ApiCaller) -> None:
    headers = {"Authorization": f"Bearer {caller.key}"}
    answer = Client().post(f"{BASE}/messages", "{", content_type="application/json", headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_the_state_of_whatsapp_is_told(caller: ApiCaller) -> None:
    [row] = caller.get("/sessions").json()
    assert (row["salon_id"], row["whatsapp"], row["connected"]) == (MOSCOW, "connected", True)


def test_opt_outs_are_made_listed_and_undone(caller: ApiCaller) -> None:
    made = caller.call("POST", "/opt-outs", {"phone": "+7 (999) 000-00-00"})
    assert (made.status_code, made.json()["phone"]) == (201, IVAN)
    assert [row["phone"] for row in caller.get("/opt-outs").json()["results"]] == [IVAN]
    assert caller.call("DELETE", f"/opt-outs/{IVAN}").status_code == 204
    assert caller.get("/opt-outs").json()["results"] == []
    assert caller.call("DELETE", f"/opt-outs/{IVAN}").status_code == 404


def test_the_limit_has_a_sensible_default() -> None:
    assert product_settings.API_REQUESTS_PER_MINUTE >= 60
