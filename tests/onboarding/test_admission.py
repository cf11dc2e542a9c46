"""Who may open the live channel: origins, addresses behind proxies, the limit over all processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from config.shared import addresses
from onboarding.live import admission, throttle
from onboarding.rendering import languages, origins
from tests.servers import Redis


@pytest.mark.parametrize(
    "origin",
    [
        "http://testserver",
        "http://testserver:80",
        "https://yclients.com",
        "https://n123.yclients.com",
        "https://n1.yclients.com",
        "https://alteg.io",
        "https://n77.alteg.io",
        "https://app.alteg.io",
    ],
)
def test_ours_and_the_marketplaces_are_let_in(origin: str) -> None:
    assert origins.is_allowed(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "https://evil.example",
        "http://yclients.com",
        "https://yclients.com.evil.example",
        "https://evilyclients.com",
        "https://n123yclients.com",
        "https://nabc.yclients.com",
        "https://n.yclients.com",
        "https://x.n123.yclients.com",
        "https://n１２.yclients.com",
        "https://n123.yclients.com:8443",
        "https://n123.yclients.com\n",
        "https://n123.yclients.com/path",
        "https://n123.yclients.com@evil.example",
        "https://yclients.com, https://evil.example",
        "https://testserver",
        "http://testserver:8080",
        "http://testserver.evil.example",
        "http://127.0.0.1:8000",
        "http://localhost:3000",
        "http://[::1",
        "http://testserver:99999",
        "file://",
    ],
)
def test_all_others_are_foreign(origin: str) -> None:
    assert not origins.is_allowed(origin)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1234", "http://localhost:8000", "http://[::1]:9"])
def test_in_development_this_machine_is_let_in(settings: Any, origin: str) -> None:
    settings.DEBUG = True
    assert origins.is_allowed(origin)
    assert not origins.is_allowed("http://127.0.0.1.evil.example")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, [], "10.0.0.9"),
        (0, ["1.2.3.4"], "10.0.0.9"),
        (1, ["1.2.3.4"], "1.2.3.4"),
        (1, ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (1, ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        (2, ["6.6.6.6, 1.2.3.4, 10.0.0.1"], "1.2.3.4"),
        (2, ["1.2.3.4"], "10.0.0.9"),
        (1, [], "10.0.0.9"),
        (1, ["not an address"], "10.0.0.9"),
        (1, ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        (1, ["::ffff:1.2.3.4"], "1.2.3.4"),
    ],
)
def test_a_client_cannot_choose_its_address(
    settings: Any, proxies: int, forwarded: list[str], address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert addresses.client_address(peer="10.0.0.9", forwarded_for=forwarded) == address


def test_without_any_address_all_count_as_one() -> None:
    assert addresses.client_address(peer="", forwarded_for=[]) == "unknown"


def scope(**changes: Any) -> dict[str, Any]:
    return {"type": "websocket", "headers": [], "subprotocols": [], "client": ["10.0.0.9", 5], **changes}


def test_the_token_comes_from_the_subprotocol_or_the_header_only() -> None:
    assert admission.read(scope(subprotocols=["marketplace.v1", "jwt.a.b.c"])).token == "a.b.c"
    assert admission.read(scope(headers=[(b"authorization", b"Bearer a.b.c")])).token == "a.b.c"
    assert admission.read(scope(query_string=b"token=a.b.c")).token == ""
    assert admission.read(scope(subprotocols=["jwt.a.b.c"])).token == ""
    assert admission.read(scope(headers=[(b"authorization", b"Basic a.b.c")])).token == ""


def test_two_origins_are_none_of_ours() -> None:
    twice = scope(headers=[(b"origin", b"http://testserver"), (b"origin", b"https://evil.example")])
    assert not origins.is_allowed(admission.read(twice).origin or "")


@pytest.mark.parametrize(
    ("wanted", "accept", "language"),
    [
        ("", "", "ru"),
        ("en", "ru", "en"),
        ("", "en-GB,ru", "en"),
        ("xx", "fr", "ru"),
        ("", "fr,en;q=0.1", "en"),
    ],
)
def test_the_language(wanted: str, accept: str, language: str) -> None:
    assert languages.choose(wanted=wanted, accept_language=accept) == language


async def test_five_connections_a_minute_for_one_address(settings: Any, own_redis: Redis) -> None:
    for url in ("", own_redis.url):
        settings.REDIS_URL = url
        assert [await throttle.may_connect("1.1.1.1") for _ in range(6)] == [True] * 5 + [False]
        assert await throttle.may_connect("2.2.2.2")
        throttle.forget()


async def test_the_limit_holds_over_all_processes(settings: Any, own_redis: Redis) -> None:
    settings.REDIS_URL = own_redis.url
    for _ in range(5):
        assert await throttle.may_connect("1.1.1.1")
    throttle.forget()  # another process has connections and counters of its own
    assert not await throttle.may_connect("1.1.1.1")


async def test_without_redis_each_process_counts_for_itself(settings: Any, own_redis: Redis) -> None:
    settings.REDIS_URL = own_redis.url
    own_redis.stop()
    assert [await throttle.may_connect("3.3.3.3") for _ in range(6)] == [True] * 5 + [False]
    own_redis.start()
    assert await throttle.may_connect("3.3.3.3")


async def test_a_redis_that_hangs_does_not_hold_the_page_up(settings: Any, own_redis: Redis) -> None:
    settings.REDIS_URL = own_redis.url
    assert await throttle.may_connect("4.4.4.4")
    with own_redis.paused():
        assert await asyncio.wait_for(throttle.may_connect("4.4.4.4"), 60)
