"""Each metric that operators watch appears, with sense, after the thing has happened."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.request import urlopen

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django import Settings

from config.shared.database import in_thread
from config.shared.metrics import serve_metrics
from marketplace.models import InboundWebhook
from marketplace.notifications import callback_queue, callbacks
from marketplace.worker import retention
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import YClientsError
from tests.environment import ROOT
from tests.marketplace.local_yclients import LocalYClients, local_yclients
from tests.marketplace.salons_data import MOSCOW, make_active
from tests.marketplace.webhook_posts import WEBHOOK_URL, lifecycle_body, post
from tests.server import free_port
from tests.whatsapp.outgoing import CLIENT, new, queue, until_status
from tests.whatsapp.pools import PATIENCE, Running, linked_session, running_pool, until
from whatsapp.engine import RECYCLED
from whatsapp.engine.events import HostExited
from whatsapp.models import Message, Pool, Session

pytestmark = pytest.mark.django_db(transaction=True)


class Grown:
    """How much this process's counters have grown since it was made."""

    def __init__(self) -> None:
        self._before = self._read()

    @staticmethod
    def _read() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
        return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}

    def by(self, name: str, **labels: str) -> float:
        """The growth of one sample."""
        key = (name, tuple(sorted(labels.items())))
        return self._read().get(key, 0.0) - self._before.get(key, 0.0)

    async def until(self, name: str, by: float, **labels: str) -> None:
        """Return when it has grown by so much."""
        async with asyncio.timeout(PATIENCE):
            while self.by(name, **labels) < by:
                await asyncio.sleep(0.02)


@pytest.fixture
def grown() -> Grown:
    return Grown()


@pytest.fixture
def yclients(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalYClients]:
    from marketplace.yclients import rate_limit

    monkeypatch.setattr(rate_limit, "SPACING", timedelta(milliseconds=1))
    with local_yclients() as there:
        settings.YCLIENTS_API_URL, settings.YCLIENTS_MARKETPLACE_URL = there.url, there.marketplace_url
        yield there


def scraped() -> dict[str, float]:
    """What the web process serves, by name and labels as they are written."""
    text = Client().get("/metrics").content.decode()
    found = re.findall(r"^([a-z]\w*(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def seen(running: Running, session: Session) -> dict[str, float]:
    await until(session, lambda row: row.status == "connected")
    async with asyncio.timeout(PATIENCE):
        while not (await Pool.objects.aget()).sessions:
            await asyncio.sleep(0.02)
    return await in_thread(scraped)


async def test_sessions_pools_and_their_first_codes(grown: Grown) -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        assert grown.by("whatsapp_first_qr_seconds_count") == 1
        assert 0 <= grown.by("whatsapp_first_qr_seconds_sum") < PATIENCE
        assert grown.by("whatsapp_pairings_total") == 1
        said = await seen(running, session)
        assert said['whatsapp_sessions{status="connected"}'] == 1
        assert (said["whatsapp_pools"], said["whatsapp_pool_sessions"]) == (1, 1)
        assert said["whatsapp_pool_capacity"] == 50
        assert said["whatsapp_sessions_left_alone"] == 0
        assert said['whatsapp_memory_bytes{of="pool"}'] > 10 << 20


async def test_lines_are_lost_by_reason(grown: Grown) -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        running.engine.drop(str(session.pk))
        await grown.until("whatsapp_disconnects_total", 1, reason="network")
        await until(session, lambda row: row.status == "connected")
        running.engine.replace(str(session.pk))
        await grown.until("whatsapp_disconnects_total", 1, reason="replaced")
    assert grown.by("whatsapp_disconnects_total", reason="logged_out") == 0


async def test_hosts_that_die_and_hosts_that_are_recycled(grown: Grown) -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        running.engine.kill_host(str(session.pk), "signal 9")
        await grown.until("whatsapp_host_restarts_total", 1, reason="signal 9")
        await grown.until("whatsapp_disconnects_total", 1, reason="host")
        running.engine._event_queue.put(HostExited("host-1", 7, [], RECYCLED))
        await grown.until("whatsapp_host_recycles_total", 1)
    assert grown.by("whatsapp_host_restarts_total", reason=RECYCLED) == 0


async def test_lost_leases(grown: Grown) -> None:
    async with running_pool() as running:
        session = await linked_session(running)
        taken = Session.objects.filter(pk=session.pk)
        await taken.aupdate(
            lease_owner="another", lease_token=99, lease_expires_at=timezone.now() + timedelta(hours=1)
        )
        await grown.until("whatsapp_lease_losses_total", 1)
    assert grown.by("whatsapp_lease_losses_total") == 1


async def test_messages_by_what_became_of_them(grown: Grown) -> None:
    async with running_pool() as running:
        running.engine.script.auto_deliver = True
        running.engine.script.not_on_whatsapp.add("79995550199")
        session = await linked_session(running)
        (message,) = await queue(session)
        sent = await until_status(message, "delivered")
        running.engine.read(str(session.pk), sent.wa_message_id)
        (refused,) = await queue(session, new(phone="79995550199"))
        await until_status(message, "read")
        await until_status(refused, "failed")
        for outcome in ("sent", "delivered", "read", "failed"):
            await grown.until("whatsapp_messages_total", 1, outcome=outcome)
    assert grown.by("whatsapp_send_seconds_count") == 1
    assert grown.by("whatsapp_message_waited_seconds_count") == 1


def test_what_waits_and_for_how_long() -> None:
    company = make_active()
    now = timezone.now()
    made = {"session": company.session, "phone": CLIENT, "text": "x", "source": "operator"}
    for name, minutes in (("a", -10), ("b", -1), ("c", 60)):
        Message.objects.create(not_before=now + timedelta(minutes=minutes), external_id=name, **made)
    said = scraped()
    waiting = {state: said[f'whatsapp_messages_waiting{{state="{state}"}}'] for state in ("due", "later")}
    assert waiting == {"due": 2, "later": 1}
    assert 600 <= said["whatsapp_queue_age_seconds"] < 660


def test_sessions_that_nobody_takes_care_of() -> None:
    session = Session.objects.create(wanted="linked", jid="7999:1@s.whatsapp.net", status="connected")
    Session.objects.filter(pk=session.pk).update(updated_at=timezone.now() - timedelta(minutes=5))
    assert scraped()["whatsapp_sessions_left_alone"] == 1


def test_reports_that_are_due_and_given_up(grown: Grown, yclients: LocalYClients) -> None:
    company = make_active()
    ago = timezone.now() - timedelta(minutes=2)
    made = {"session": company.session, "phone": CLIENT, "text": "x", "source": "operator"}
    for name, state in (("a", "due"), ("b", "dead")):
        Message.objects.create(external_id=f"{MOSCOW}:{name}", callback_state=state, callback_next_at=ago,
                               callback_url=f"{yclients.url}/nowhere", status="failed", **made)  # fmt: skip
    said = scraped()
    assert said['marketplace_callbacks_waiting{state="due"}'] == 1
    assert said['marketplace_callbacks_waiting{state="dead"}'] == 1
    assert 120 <= said["marketplace_callback_queue_age_seconds"] < 180
    callbacks.deliver(callback_queue.CALLBACKS.due(limit=1)[0])
    assert grown.by("marketplace_callbacks_total", outcome="refused") == 1


def test_webhooks_by_outcome_and_latency(grown: Grown) -> None:
    make_active()
    post(lifecycle_body("freeze"))
    post(lifecycle_body("freeze", partner_token="forged"))
    assert post(b"no json", WEBHOOK_URL).status_code == 400
    for outcome, kind in (("stored", "lifecycle"), ("refused", "lifecycle"), ("invalid", "unknown")):
        assert grown.by("marketplace_webhooks_total", kind=kind, outcome=outcome) == 1, outcome
    assert grown.by("marketplace_webhook_seconds_count", kind="lifecycle") == 1
    assert grown.by("marketplace_webhook_effects_total", state="applied") == 1
    InboundWebhook.objects.update(state="dead")
    said = scraped()
    assert said['marketplace_webhooks_waiting{state="dead"}'] == 1
    assert said['marketplace_companies{status="frozen"}'] == 1
    assert said["marketplace_webhook_queue_age_seconds"] == 0


def test_calls_to_yclients_and_their_errors(grown: Grown, yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    with YClients() as there:
        there.installation(MOSCOW)
        yclients.fault("500", endpoint="install_status", until_lifted=True)
        with pytest.raises(YClientsError):
            there.installation(MOSCOW)
    assert grown.by("yclients_calls_total", call="install_status", outcome="200") == 1
    assert grown.by("yclients_calls_total", call="install_status", outcome="500") >= 1
    assert grown.by("yclients_call_seconds_count", call="install_status") >= 2


def test_what_was_pruned(grown: Grown) -> None:
    made = {"session": make_active().session, "phone": CLIENT, "text": "x", "source": "test"}
    long_ago = timezone.now() - timedelta(days=100)
    Message.objects.create(status="failed", created_at=long_ago, **made)
    retention.prune()
    assert grown.by("marketplace_pruned_total", kind="messages") == 1


def test_every_metric_that_the_operators_page_names_is_served() -> None:
    page = (ROOT / "docs" / "operators.md").read_text().partition("## Metrics")[2]
    named = set(re.findall(r"`((?:whatsapp|marketplace|yclients)_[a-z_]+[a-z])(?:\{[^}]*\})?`", page))
    served = set(re.findall(r"^# HELP (\w+)", Client().get("/metrics").content.decode(), re.MULTILINE))
    assert len(named) > 25
    assert named - served == set()


def test_a_pool_or_worker_serves_what_it_did_at_a_port_of_its_own(settings: Any) -> None:
    settings.METRICS_PORT = free_port()
    serve_metrics()
    with urlopen(f"http://127.0.0.1:{settings.METRICS_PORT}/metrics", timeout=PATIENCE) as answer:
        said = answer.read().decode()
    for name in ("whatsapp_lease_losses_total", "whatsapp_host_recycles_total", "yclients_call_seconds"):
        assert f"\n{name}" in said or f"# HELP {name}" in said, name
    # What the database says is served by web alone, lest sums count it once for each process.
    assert "whatsapp_sessions{" not in said
