"""Classes of requests have threads of their own, and give them and their connections back."""

import asyncio
import threading

import pytest
from django.conf import settings

from config import health, ingest
from config.shared import database
from config.shared.thread_budgets import OUTGOING, PAGES, BudgetUsedUp, ThreadBudget
from whatsapp.models import Session

PATIENCE = 60


@pytest.mark.skipif(settings.SQLITE, reason="SQLite has no pool of connections")
def test_all_classes_together_have_no_more_threads_than_the_pool_has_connections() -> None:
    pools = (database._threads, ingest._slow_work, health._probe_threads)
    threads = sum(pool._max_workers for pool in pools) + PAGES.size + OUTGOING.size
    threads += sum(batches.threads for batches in ingest._batches.values())
    assert threads <= settings.POOL_OF_CONNECTIONS


async def test_work_whose_caller_went_away_ends_and_only_then_frees_its_thread() -> None:
    budget = ThreadBudget("test", threads=1, patience=0.05)
    let_go, began = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        let_go.wait(PATIENCE)

    caller = asyncio.create_task(budget.run(work))
    assert await asyncio.to_thread(began.wait, PATIENCE)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    with pytest.raises(BudgetUsedUp):
        await budget.run(threading.get_ident)
    let_go.set()
    budget.patience = PATIENCE
    assert await budget.run(threading.get_ident)


@pytest.mark.django_db(transaction=True)
async def test_the_connection_is_given_back_though_the_work_raises() -> None:
    from django.db import connection

    budget = ThreadBudget("test", threads=1, patience=PATIENCE)

    def fail() -> None:
        Session.objects.exists()
        raise ValueError("after a query")

    with pytest.raises(ValueError, match="after a query"):
        await budget.run(fail)
    assert await budget.run(lambda: connection.connection) is None
