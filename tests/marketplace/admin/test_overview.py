"""The admin's first page: bars and plots whose numbers are those of the lists that they lead to."""

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from config.support_group import make_support_group
from marketplace.models import Company, InboundWebhook
from marketplace.worker import message_counts
from tests.onboarding.cabinet.owners import owned_salon
from whatsapp.messages import hourly_counts
from whatsapp.models import HourlyCount, Message, Pool

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
        session=salon.session, phone="79990000001", source="booking", status=status, **{**sent, **fields}
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
