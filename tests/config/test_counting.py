"""Pages that are asked for every few seconds count no long table and read no long column."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from config.shared.counting import bounded_count, counted
from marketplace.models import InboundWebhook
from tests.marketplace.salons_data import MOSCOW, make_active

pytestmark = pytest.mark.django_db
LONG_TABLES = ("marketplace_inboundwebhook", "whatsapp_message")
# A condition with an index for little more than the rows that it names.
INDEXED = re.compile(r"""WHERE .*"(state|status|callback_state)" (= |IN )""")


def make_webhooks(number: int, **fields: Any) -> None:
    made = {"kind": "entity", "name": "record update", "salon_id": MOSCOW, "body": {"id": 1}, **fields}
    InboundWebhook.objects.bulk_create(
        InboundWebhook(dedupe_key=f"{fields['state']}-{each}", **made) for each in range(number)
    )


@pytest.fixture
def operator(settings: Settings) -> Client:
    settings.HEALTH_CHECK_TOKEN = "health-token-of-the-tests"
    client = Client(headers={"X-Health-Token": settings.HEALTH_CHECK_TOKEN})
    client.force_login(User.objects.create_user("root", is_staff=True, is_superuser=True))
    return client


def queries_of_long_tables(client: Client, address: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return [each["sql"] for each in captured if any(f'FROM "{name}"' in each["sql"] for name in LONG_TABLES)]


@pytest.mark.parametrize("address", ["/metrics", "/marketplace/health", "/admin/"])
def test_only_what_waits_or_failed_is_counted(address: str, operator: Client) -> None:
    found = queries_of_long_tables(operator, address)
    assert found
    assert [sql for sql in found if not INDEXED.search(sql)] == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks PostgreSQL for its plan")
@pytest.mark.parametrize("address", ["/metrics", "/marketplace/health", "/admin/"])
def test_counts_of_webhooks_read_the_index_of_the_unfinished(address: str, operator: Client) -> None:
    make_webhooks(300, state="applied")
    make_webhooks(3, state="dead")
    found = [sql for sql in queries_of_long_tables(operator, address) if "inboundwebhook" in sql]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # a table of the tests' size needs no index
        for sql in found:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert re.search("webhook_unfinished|webhook_queue", plan), plan


def test_a_count_says_when_it_stopped() -> None:
    make_webhooks(4, state="dead")
    rows = InboundWebhook.objects.filter(state="dead")
    assert (bounded_count(rows, 3), bounded_count(rows, 4), bounded_count(rows)) == (4, 4, 4)
    assert (counted(4, 3), counted(4, 4)) == ("3+", "4")


def test_the_list_of_webhooks_reads_no_body_and_no_traceback(operator: Client) -> None:
    make_active()
    make_webhooks(3, state="failed", last_error="Traceback")
    [*_count, listed] = queries_of_long_tables(operator, "/admin/marketplace/inboundwebhook/")
    assert '"body"' not in listed and '"last_error"' not in listed
    row = InboundWebhook.objects.earliest("id")
    assert "Traceback" in operator.get(f"/admin/marketplace/inboundwebhook/{row.pk}/change/").content.decode()
