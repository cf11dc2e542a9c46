"""A session whose events come faster than they are handled: bounded memory, and no receipt lost."""

import asyncio
import threading
import time
from typing import Any

import pytest

from tests.whatsapp.outgoing import queue, until_status
from tests.whatsapp.pools import PATIENCE, history, linked_session, running_pool, until
from whatsapp.engine.events import KeepAliveTimeout, Receipt
from whatsapp.models import Message, Session
from whatsapp.pool.runner import SessionRunner
from whatsapp.sessions import context, leases

pytestmark = pytest.mark.django_db(transaction=True)
Status = Message.Status


@pytest.fixture(autouse=True)
def _as_fast_as_it_goes(settings: Any) -> None:
    settings.SENDING_PACED = False


async def test_a_runner_that_stands_still_holds_few_events_and_loses_no_receipt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck, go_on = threading.Event(), threading.Event()
    real = leases.write

    def slow(lease: leases.Lease, **named: Any) -> bool:
        if named.get("status") == Session.Status.RECONNECTING:
            stuck.set()
            go_on.wait(PATIENCE)
        return real(lease, **named)

    monkeypatch.setattr(context, "INBOX_SIZE", 20)
    async with running_pool() as running:
        session = await linked_session(running)
        (message,) = await queue(session)
        sent = await until_status(message, Status.SENT)
        runner: SessionRunner = running.pool.runners[session.pk]
        monkeypatch.setattr(leases, "write", slow)
        put = running.engine._event_queue.put
        put(KeepAliveTimeout(str(session.pk)))
        assert await asyncio.to_thread(stuck.wait, PATIENCE)
        for _ in range(500):
            put(KeepAliveTimeout(str(session.pk)))
            put(Receipt(str(session.pk), [sent.wa_message_id], "read", time.time()))
        await until_status(message, Status.READ)
        assert runner.context.inbox.qsize() <= 20
        go_on.set()
        # It is far behind what is so: it starts anew.
        await until(session, lambda row: row.lease_token > 1 and row.status == Session.Status.CONNECTED)
        assert "fault" in await history(session)
