"""What the API demands of every request."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from sandbox.yclients import SandboxYClients
from sandbox.yclients.ratelimit import RateLimit

from .conftest import HEADERS, KEY, SALON, TOKEN, Client

COMPANY = f"/api/v1/company/{SALON}"


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer"]
)
async def test_a_missing_or_wrong_token_is_refused(client: Client, authorization: str | None) -> None:
    headers = {**HEADERS, "Authorization": authorization} if authorization else {"Accept": HEADERS["Accept"]}
    answer = await client.get(COMPANY, headers=headers)
    assert answer.status == 401
    assert answer.body == {"success": False, "data": None, "meta": {"message": "Необходима авторизация."}}


async def test_a_user_token_may_follow_the_partner_token(client: Client) -> None:
    headers = {**HEADERS, "Authorization": f"Bearer {TOKEN}, User abc"}
    assert (await client.get(COMPANY, headers=headers)).status == 200


@pytest.mark.parametrize(("accept", "status"), [("*/*", 400), ("application/json", 406)])
async def test_the_accept_header_must_name_the_version(client: Client, accept: str, status: int) -> None:
    answer = await client.get(COMPANY, headers={**HEADERS, "Accept": accept})
    assert answer.status == status
    assert answer.body["success"] is False


async def test_the_sixth_request_in_a_second_is_too_many(yclients: SandboxYClients, client: Client) -> None:
    await client.post("/control/settings", {"enforce_limits": True})
    answers = [await client.get(COMPANY) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_the_limit_slides_over_a_second_and_a_minute() -> None:
    now = [0.0]
    limit = RateLimit(monotonic=lambda: now[0])
    for second in range(40):
        now[0] = float(second)
        assert [limit.take("a") for _ in range(5)] == [0] * 5
        assert limit.take("a") == pytest.approx(1.0 if second < 39 else 21.0)
    assert limit.take("b") == 0
    now[0] = 60.0
    assert limit.take("a") == 0


async def test_an_unknown_address_and_method_answer_in_the_api_shape(client: Client) -> None:
    unknown, wrong = await client.get("/marketplace/nothing"), await client.post(COMPANY, {})
    assert (unknown.status, unknown.body["success"]) == (404, False)
    assert (wrong.status, wrong.body["success"]) == (405, False)


async def test_a_body_that_is_no_json_object_is_refused(yclients: SandboxYClients) -> None:
    url = f"{yclients.marketplace_url}/partner/callback/redirect"
    json_type = {**HEADERS, "Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session:
        for data, headers in (("{", json_type), ("[]", json_type), ("{}", HEADERS)):
            async with session.post(url, data=data, headers=headers, allow_redirects=False) as response:
                assert response.status == 400
                assert (await response.json())["meta"]["message"]


async def test_a_body_over_one_mebibyte_is_refused(yclients: SandboxYClients, client: Client) -> None:
    answer = await client.activate(api_key="a" * (1 << 20))
    assert (answer.status, answer.body["success"]) == (413, False)
    assert [call.status for call in yclients.journal.calls()] == [413]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("salon_id", "307626"),
        ("salon_id", 0),
        ("salon_id", True),
        ("application_id", None),
        ("api_key", ""),
        ("api_key", 5),
        ("webhook_urls", "http://example.com"),
        ("webhook_urls", ["ftp://example.com"]),
        ("webhook_urls", [f"https://example.com/{n}" for n in range(11)]),
    ],
)
async def test_an_invalid_field_is_named(client: Client, field: str, value: Any) -> None:
    answer = await client.activate(**{field: value})
    assert answer.status == 422
    assert list(answer.body["meta"]["errors"]) == [field]


@pytest.mark.parametrize("channels", [[], ["telegram"], "whatsapp", None])
async def test_activation_without_a_redirect_names_its_channels(client: Client, channels: object) -> None:
    answer = await client.activate(endpoint="", channels=channels)
    assert list(answer.body["meta"]["errors"]) == ["channels"]


async def test_the_journal_holds_every_call_and_no_secret(yclients: SandboxYClients, client: Client) -> None:
    yclients.press_connect(SALON)
    await client.activate(webhook_urls=["https://example.com/webhook/yclients/private"])
    await client.get(COMPANY + "?token=abc", headers={})
    first, second = yclients.journal.calls()
    assert (first.method, first.endpoint, first.status) == ("POST", "callback_redirect", 301)
    assert (second.path, second.status) == (COMPANY + "?token=[stripped]", 401)
    written = str((await client.get("/control/journal")).body)
    assert not any(secret in written for secret in (KEY, TOKEN, "private", "abc"))


async def test_the_journal_can_be_read_from_a_point_on(yclients: SandboxYClients, client: Client) -> None:
    for _ in range(2):
        await client.get(COMPANY)
    await client.status()
    answer = await client.get("/control/journal?endpoint=company&after=1")
    assert [call["number"] for call in answer.body["calls"]] == [2]
