"""What probes, load balancers and operators are told, and what strangers are not."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.db import OperationalError
from django.test import AsyncClient, Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from config import VERSION, health
from marketplace.models import Company, InboundWebhook
from tests.servers import Redis
from whatsapp.models import Pool, Session

TOKEN = "health-token-of-the-tests"
OURS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def make_pool(seconds_ago: float = 0) -> None:
    beat = timezone.now() - timedelta(seconds=seconds_ago)
    Pool.objects.create(name="host:1:ab", heartbeat_at=beat, capacity=500, sessions=3)


async def ready() -> tuple[int, dict[str, Any]]:
    response = await AsyncClient().get("/readyz")
    return response.status_code, response.json()


@pytest.mark.django_db
def test_alive_asks_nothing_of_the_database(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": VERSION})
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
async def test_ready_with_a_database_a_channel_layer_and_a_pool() -> None:
    await asyncio.to_thread(make_pool)
    assert await ready() == (
        200,
        {"status": "ok", "parts": {"database": "ok", "channel_layer": "ok", "pool": "ok"}},
    )


@pytest.mark.django_db(transaction=True)
async def test_not_ready_while_no_pool_has_beaten_lately() -> None:
    await asyncio.to_thread(make_pool, 60)
    status, said = await ready()
    assert (status, said["parts"]) == (503, {"database": "ok", "channel_layer": "ok", "pool": "failed"})


@pytest.mark.django_db(transaction=True)
async def test_not_ready_without_the_database_and_no_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bool:
        raise OperationalError("could not connect to postgres://wa:pa55word@db")

    monkeypatch.setattr(health, "_database_answers", fail)
    status, said = await ready()
    assert (status, said["parts"]["database"]) == (503, "failed")
    assert "pa55word" not in str(said)


@pytest.mark.django_db(transaction=True)
async def test_a_redis_that_hangs_makes_not_ready_in_time(
    own_redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "config.shared.channel_layer.ChannelLayer",
            "CONFIG": {"hosts": [own_redis.url]},
        }
    }
    await asyncio.to_thread(make_pool)
    assert (await ready())[0] == 200
    monkeypatch.setattr(health, "PROBE_TIMEOUT", 0.3)
    with own_redis.paused():
        status, said = await asyncio.wait_for(ready(), 60)
        assert (status, said["parts"]["channel_layer"]) == (503, "failed")
    monkeypatch.undo()
    assert (await ready())[0] == 200


@pytest.mark.django_db(transaction=True)
async def test_probing_leaves_nothing_behind_in_the_channel_layer(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = OURS
    for _ in range(3):
        await ready()
    async with asyncio.timeout(60):
        while get_channel_layer().channels:
            await asyncio.sleep(0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"X-Health-Token": TOKEN[:-1]},
        {"X-Health-Token": ""},
        {"X-Health-Token": "ключ"},
    ],
)
def test_strangers_learn_only_that_it_is_up(headers: dict[str, str], settings: Settings) -> None:
    settings.HEALTH_CHECK_TOKEN = TOKEN
    response = Client().get("/marketplace/health", headers=headers)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert Client().get("/metrics", headers=headers).status_code == 403


@pytest.mark.django_db
def test_without_a_token_set_an_empty_one_opens_nothing(settings: Settings) -> None:
    settings.HEALTH_CHECK_TOKEN = ""
    for headers in ({"X-Health-Token": ""}, {"Authorization": "Bearer "}):
        assert Client().get("/marketplace/health", headers=headers).json() == {"status": "ok"}


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {TOKEN}"}, {"X-Health-Token": TOKEN}])
def test_operators_learn_how_it_is(headers: dict[str, str], settings: Settings) -> None:
    settings.HEALTH_CHECK_TOKEN = TOKEN
    make_pool()
    Session.objects.create()
    Company.objects.create(salon_id=101)
    InboundWebhook.objects.create(
        kind="entity", dedupe_key="k", name="x", body={}, state="failed", next_attempt_at=timezone.now()
    )
    said = Client().get("/marketplace/health", headers=headers).json()
    assert said["sessions"] == {"idle": 1}
    assert said["companies"] == {"pending_whatsapp": 1}
    assert (said["webhooks"], said["webhooks_due"]) == ({"received": 0, "failed": 1, "dead": 0}, 1)
    assert said["pools"][0]["sessions"] == 3
    assert said["yclients_configured"] is True
    assert {"django", "neonize"} <= set(said["versions"])
    assert settings.YCLIENTS_PARTNER_TOKEN not in str(said)
    assert b'whatsapp_sessions{status="idle"} 1.0' in Client().get("/metrics", headers=headers).content


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.9", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 403),
        ("", {}, 403),
    ],
)
def test_metrics_without_a_token_are_for_this_machine(
    address: str, headers: dict[str, str], status: int, settings: Settings
) -> None:
    settings.HEALTH_CHECK_TOKEN = ""
    assert Client(REMOTE_ADDR=address).get("/metrics", headers=headers).status_code == status


@pytest.mark.django_db
def test_metrics_name_what_operators_watch() -> None:
    make_pool()
    said = Client().get("/metrics").content.decode()
    for name in (
        "whatsapp_sessions", "whatsapp_first_qr_seconds", "whatsapp_lease_losses_total",
        "whatsapp_host_restarts_total", "whatsapp_pools 1.0", "marketplace_companies",
        "marketplace_webhook_seconds", "marketplace_webhooks_total",
        "marketplace_webhook_queue_age_seconds 0.0",
        "yclients_calls_total", "yclients_call_seconds", "marketplace_activations_total",
    ):  # fmt: skip
        assert name in said, name


@pytest.mark.django_db
def test_the_process_s_metrics_outlive_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> Any:
        raise OperationalError("away")

    monkeypatch.setattr(Session.objects, "values_list", fail)
    response = Client().get("/metrics")
    assert response.status_code == 200
    assert b"whatsapp_lease_losses_total" in response.content
    assert b"whatsapp_sessions{" not in response.content


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/healthz", "/readyz", "/marketplace/health", "/metrics"])
def test_probes_are_only_asked(address: str) -> None:
    assert Client().post(address).status_code == 405
