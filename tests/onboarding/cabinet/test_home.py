"""The cabinet's home: whether it works in words, the numbers, and the way to link anew."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from marketplace.models import Company
from onboarding.cabinet import plot, statistics
from onboarding.linking import tokens
from tests.onboarding.cabinet.owners import PHONE, owned_salon, signed_in
from whatsapp.models import Message, Pool, SendingLimits, Session

pytestmark = pytest.mark.django_db

MOSCOW = ZoneInfo("Europe/Moscow")
MOST_QUERIES = 10


def messages(salon: Company, number: int = 1, **fields: Any) -> None:
    made = fields.pop("created_at", timezone.now())
    status = fields.setdefault("status", "queued")
    if status in ("sent", "delivered", "read"):
        fields.setdefault("wa_message_id", "W")
    Message.objects.bulk_create(
        Message(
            session=salon.session, source="operator", phone="79990000000", text="…", created_at=made, **fields
        )
        for _ in range(number)
    )


def home(salon: Company, client: Client | None = None) -> str:
    return (client or signed_in([salon])).get(f"/cabinet/{salon.salon_id}/").content.decode()


@pytest.fixture
def salon() -> Company:
    made = owned_salon()
    Session.objects.update(stable_at=timezone.now() + timedelta(seconds=1))
    Pool.objects.create(name="p", heartbeat_at=timezone.now() + timedelta(hours=1), capacity=1)
    return made


@pytest.mark.parametrize(
    ("session", "company", "said"),
    [
        ({}, {}, "WhatsApp works"),
        (
            {"status": "logged_out", "jid": "", "trouble": "logged_out"},
            {},
            "The link was removed on the phone",
        ),
        ({"status": "reconnecting"}, {}, "WhatsApp is not connected"),
        ({"sending_paused": True}, {"paused_at": timezone.now()}, "until you resume sending"),
        ({"sending_paused": True}, {}, "Write to support"),
        ({"wanted": "unlinked"}, {}, "is being unlinked"),
        ({"sending_paused": True}, {"status": "frozen"}, "Pay in YClients"),
        ({}, {"status": "activation_failed"}, "does not use this WhatsApp yet"),
    ],
)
def test_the_page_says_in_words_whether_it_works(
    salon: Company, session: dict[str, Any], company: dict[str, Any], said: str
) -> None:
    Session.objects.update(**session)
    Company.objects.update(**company)
    page = home(salon)
    assert said in page
    assert PHONE not in page


def test_days_are_the_salons_own(salon: Company) -> None:
    midnight = timezone.now().astimezone(MOSCOW).replace(hour=0, minute=0, second=0, microsecond=0)
    messages(salon, 2, status="read", created_at=midnight - timedelta(seconds=1))
    messages(salon, 3, status="delivered", created_at=midnight)
    messages(salon, 1, status="unknown", created_at=midnight)
    days = statistics.read_days(Session.objects.get(), MOSCOW)
    assert len(days) == statistics.DAYS
    assert days[-2].by_outcome == {"read": 2}
    assert days[-1].by_outcome == {"delivered": 3, "failed": 1}


def test_older_days_and_others_messages_are_not_counted(salon: Company) -> None:
    other = owned_salon(412870, owner="2", phone="79990002233")
    messages(salon, created_at=timezone.now() - timedelta(days=40))
    messages(other, 5, status="read")
    messages(salon, direction="in", status="received", wa_message_id="A")
    assert salon.session is not None
    assert not any(day.total for day in statistics.read_days(salon.session, MOSCOW))


def test_the_plot_stacks_a_days_outcomes_up_to_the_full_height() -> None:
    day = datetime(2026, 1, 1, tzinfo=MOSCOW).date()
    busy, calm = statistics.Day(day), statistics.Day(day)
    busy.by_outcome.update({"read": 3, "failed": 1})
    calm.by_outcome.update({"sent": 1})
    assert [(piece.outcome, piece.y, piece.height) for piece in plot.draw([busy, calm])] == [
        ("read", 30, 90),
        ("failed", 0, 30),
        ("sent", 90, 30),
    ]


def test_a_day_without_messages_draws_nothing() -> None:
    assert plot.draw([statistics.Day(datetime(2026, 1, 1, tzinfo=MOSCOW).date())]) == []


def test_why_messages_wait_is_said(salon: Company) -> None:
    messages(salon, 3)
    messages(salon, 2, not_before=timezone.now() + timedelta(hours=1))
    page = home(salon)
    assert "To be sent now: 3." in page
    assert "with a set time wait for it: 2." in page
    assert "one by one" in page
    SendingLimits.objects.create(session=Session.objects.get(), daily_cap=1)
    messages(salon, status="sent", sending_at=timezone.now())
    assert "at most 1 messages a day" in home(salon)


def test_a_busy_number_costs_as_few_queries_as_a_new_one(salon: Company) -> None:
    client = signed_in([salon])
    messages(salon, 500, status="read")
    messages(salon, 20)
    home(salon, client)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        home(salon, client)
    assert len(asked) <= MOST_QUERIES, [query["sql"] for query in asked]


def test_linking_anew_leads_to_the_page_with_the_codes_with_power_over_this_salon_alone(
    salon: Company,
) -> None:
    other = owned_salon(412870, phone="79990002233")
    client = signed_in([salon, other])
    response = client.post(f"/cabinet/{salon.salon_id}/relink")
    token = response["Location"].partition("token=")[2]
    assert tokens.verify(token).salon_ids == (salon.salon_id,)
    assert client.get(response["Location"]).status_code == 200
