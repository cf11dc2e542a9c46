"""The admin's first page: bars and plots whose numbers are those of the lists that they lead to."""

import html
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from config.support_group import make_support_group
from marketplace.admin.waiting import WAITING
from marketplace.models import (
    Channel,
    Company,
    CompanyCheck,
    InboundWebhook,
    Listing,
    OutageAlert,
    Payment,
    RecordState,
    RegistrationCheck,
    ScheduledTask,
    UninstallRequest,
)
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from marketplace.worker import message_counts
from marketplace.worker.jobs import QUEUES
from tests.onboarding.cabinet.owners import owned_salon
from whatsapp.messages import hourly_counts
from whatsapp.models import HourlyCount, MediaFile, Message, Pool, Session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def salon() -> Company:
    return owned_salon(307626, title="Лотос")


@pytest.fixture
def support() -> Client:
    user = User.objects.create_user("support", is_staff=True)
    user.groups.add(make_support_group())
    client = Client(headers={"Accept-Language": "ru"})
    client.force_login(user)
    return client


def message(salon: Company, status: str, **fields: Any) -> Message:
    assert salon.session is not None
    sent = {"wa_message_id": "A"} if status in ("sent", "delivered", "read") else {}
    return Message.objects.create(
        session=salon.session, phone="79990000001", status=status, **{"source": "booking", **sent, **fields}
    )


def webhook(number: int, state: str) -> None:
    InboundWebhook.objects.create(kind="entity", dedupe_key=str(number), state=state, body={})


def count() -> None:
    for task_id in message_counts.due(limit=1):
        message_counts.recount_due(task_id)


def plots(page: str) -> list[Any]:
    return [json.loads(html.unescape(found)) for found in re.findall(r'data-plot="([^"]+)"', page)]


@pytest.mark.parametrize("period", ["24h", "30d"])
def test_each_number_leads_to_a_list_of_as_many(salon: Company, support: Client, period: str) -> None:
    for status in ("read", "read", "failed", "delivered"):
        message(salon, status)
    message(salon, "expired", created_at=timezone.now() - timedelta(days=40))
    for number, state in enumerate(("failed", "dead", "dead", "applied")):
        webhook(number, state)
    count()
    page = support.get("/admin/", {"period": period}).content.decode()
    drawn = plots(page)
    assert [sum(sum(each["values"]) for each in plot["series"]) for plot in drawn] == [4, 3]
    links = re.findall(r'<td><a href="([^"]+)">(\d+)</a></td>', page)
    assert sorted(number for _address, number in links) == ["1", "1", "1", "2", "2"]
    for address, number in links:
        listed = support.get(html.unescape(address))
        assert listed.status_code == 200
        assert listed.context["cl"].result_count == int(number)


def test_every_number_of_the_page_leads_to_a_list_that_knows_its_filter(
    salon: Company, support: Client
) -> None:
    now = timezone.now()
    for name, beat in (("alive", now), ("gone", now - timedelta(hours=1))):
        Pool.objects.create(
            name=name, heartbeat_at=beat, started_at=beat, capacity=1, sessions=0, hosts=0, engine_hosts=[]
        )
    message(salon, "failed")
    webhook(1, "dead")
    count()
    page = support.get("/admin/").content.decode()
    links = {html.unescape(found) for found in re.findall(r'href="(/admin/[^"?]+\?[^"]+)"', page)}
    assert len(links) > 5
    for address in links:
        assert support.get(address).status_code == 200, address  # an unknown filter redirects
    assert support.get("/admin/whatsapp/pool/?alive=yes").context["cl"].result_count == 1
    assert support.get("/admin/whatsapp/pool/?alive=no").context["cl"].result_count == 1


def test_the_oldest_that_waits_is_said_with_its_list(salon: Company, support: Client) -> None:
    message(salon, "queued", not_before=timezone.now() - timedelta(hours=2))
    message(salon, "queued", not_before=timezone.now() + timedelta(hours=2))
    due = {"kind": "lifecycle", "next_attempt_at": timezone.now() - timedelta(minutes=1)}
    InboundWebhook.objects.create(dedupe_key="1", state="received", body={}, **due)
    page = support.get("/admin/").content.decode()
    links = re.findall(r'href="([^"]+waiting=[^"]+)">(\d+)</a>', page)
    assert [number for _address, number in links] == ["1", "1"]
    for address, number in links:
        assert support.get(html.unescape(address)).context["cl"].result_count == int(number)
    assert re.search(r"2\sчаса", page)


def make_every_queue_wait(salon: Company) -> None:
    """A row in each queue of the worker that is due now, and one beside it that is not."""
    assert salon.session is not None
    now = timezone.now()
    ago, later = now - timedelta(minutes=5), now + timedelta(hours=1)
    other = owned_salon(99, phone="79990001133", title="Другой")
    assert other.session is not None
    Session.objects.update(connected_at=now - timedelta(hours=1))  # long enough to be told of
    begun = owned_salon(98, phone="79990001144", title="Начатый", status="activating")
    # Statuses: for YClients, for a salon's program, and what a client wrote.
    for fields in ({"source": "operator"}, {"source": "api"}):
        message(salon, "sent", callback_state="due", callback_next_at=ago, callback_url="x", **fields)
        message(salon, "sent", callback_state="due", callback_next_at=later, callback_url="x", **fields)
    written = message(
        salon, "received", direction="in", callback_state="due", callback_next_at=ago, source="inbound"
    )
    message(salon, "queued", not_before=ago)
    MediaFile.objects.create(session=salon.session, kind="image", next_attempt_at=ago)
    for number, due in enumerate((ago, later)):
        RecordState.objects.create(company=salon, record_id=number, reminder_at=due)
        for kind in ("lifecycle", "entity"):
            InboundWebhook.objects.create(
                kind=kind, dedupe_key=f"{kind}{number}", state="received", body={}, next_attempt_at=due
            )
        Payment.objects.create(
            company=salon, payment_sum=1, currency_iso="RUB", payment_date="2026-01-01 00:00:00",
            period_from="2026-01-01 00:00:00", period_to="2026-02-01 00:00:00",
            idempotency_key=str(number), next_attempt_at=due,
        )  # fmt: skip
    address = Forwarding.objects.create(
        company=salon, url="https://bot.example.com/", secret="s", enabled=True
    )
    ForwardedMessage.objects.create(forwarding=address, message=written, next_attempt_at=ago)
    RegistrationCheck.objects.create(
        company=other, session=other.session, next_attempt_at=ago, created_at=now
    )
    UninstallRequest.objects.create(company=other, next_at=ago)
    CompanyCheck.objects.create(company=salon, next_at=ago)
    CompanyCheck.objects.create(company=begun, next_at=later)
    Channel.objects.create(company=salon, told=None, state="due")
    OutageAlert.objects.create(company=salon, email="a@example.com", language="ru")
    Listing.objects.create(name="salons", next_at=ago)
    for name in ("prune", "message-counts"):
        ScheduledTask.objects.update_or_create(name=name, defaults={"next_at": ago})


def test_every_queue_of_the_worker_is_shown_and_leads_to_exactly_its_rows(
    salon: Company, support: Client, settings: Any
) -> None:
    settings.EMAIL_HOST = "localhost"
    make_every_queue_wait(salon)
    assert {queue.name for queue in QUEUES} == {each.name for each in WAITING} - {"sending"}
    page = support.get("/admin/").content.decode()
    links = re.findall(r'href="([^"]+waiting=([^"]+))">(\d+)</a>', page)
    shown = {unquote_plus(name): (html.unescape(address), number) for address, name, number in links}
    assert {each.name for each in WAITING} - set(shown) == set()
    for each in WAITING:
        address, number = shown[each.name]
        listed = support.get(address).context["cl"]
        assert listed.result_count == int(number), address
        assert {row.pk for row in listed.queryset} == {row.pk for row in each.rows()}, address
    assert shown["reminders"][1] == shown["payments"][1] == shown["lifecycle"][1] == "1"


def test_counts_follow_the_messages_and_old_ones_go(salon: Company) -> None:
    sent = message(salon, "sent", created_at=timezone.now() - timedelta(hours=1))
    message(salon, "failed", created_at=timezone.now() - timedelta(days=2))
    HourlyCount.objects.create(hour=timezone.now() - timedelta(days=60), status="sent", number=5)
    count()
    assert sorted(HourlyCount.objects.values_list("status", "number")) == [("failed", 1), ("sent", 1)]
    Message.objects.filter(pk=sent.pk).update(status="read")
    hourly_counts.recount(last=timedelta(hours=3))
    assert sorted(HourlyCount.objects.values_list("status", "number")) == [("failed", 1), ("read", 1)]
    assert message_counts.due(limit=1) == []  # not before a minute has passed


def test_staff_see_only_what_they_may_view(salon: Company) -> None:
    message(salon, "failed")
    count()
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_company"))
    client = Client()
    client.force_login(user)
    page = client.get("/admin/").content.decode()
    assert plots(page) == []
    assert "/admin/whatsapp/message/" not in page


def test_lists_speak_russian_where_the_database_has_machine_words(salon: Company, support: Client) -> None:
    event = salon.note("texts_changed", by="cabinet", signed=True, of_a_later_version="x")
    page = support.get("/admin/marketplace/marketplaceevent/").content.decode()
    assert "тексты сообщений о записях изменены" in page
    assert ">texts_changed<" not in page
    assert "кто: кабинет, с подписью: да, of_a_later_version: x" in page
    page = support.get(f"/admin/marketplace/marketplaceevent/{event.pk}/change/").content.decode()
    assert "<h2>тексты сообщений о записях изменены 307626</h2>" in page
    assert (
        support.get("/admin/marketplace/marketplaceevent/?event_type=frozen").context["cl"].result_count == 0
    )
    assert "Добавить: отписка" in support.get("/admin/marketplace/optout/").content.decode()
