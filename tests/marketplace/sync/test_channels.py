"""YClients is told when a salon's WhatsApp goes down for good, and when it is back and stable."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from marketplace.models import Channel, Company, MarketplaceEvent
from marketplace.sync import channels
from marketplace.yclients.call_errors import YClientsError
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, MOSCOW, make_active
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)
JID = "79990000900:1@s.whatsapp.net"
LONG_AGO = timedelta(hours=1)


@pytest.fixture
def moscow(yclients: LocalYClients) -> Company:
    """Moscow, active here and there, its WhatsApp connected for an hour."""
    install(yclients, MOSCOW)
    company = make_active()
    whatsapp(status="connected", connected_at=timezone.now() - LONG_AGO)
    return company


def install(yclients: LocalYClients, salon_id: int) -> None:
    yclients.press_connect(salon_id)
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=salon_id, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )


def whatsapp(**fields: Any) -> None:
    """Set fields of the session; a timedelta is from now."""
    now = timezone.now()
    at = {name: now + value for name, value in fields.items() if isinstance(value, timedelta)}
    Session.objects.update(**{**fields, **at})


def work() -> None:
    for company_id in channels.due(limit=9):
        channels.report(company_id)


def said(yclients: LocalYClients) -> list[bool]:
    return [call.body["is_available"] for call in yclients.calls("channel")]


def minutes_pass() -> None:
    Channel.objects.update(next_at=timezone.now())


ENDS = {
    "removed on the phone": {"status": "logged_out", "jid": ""},
    "a new code is shown": {"status": "qr", "jid": ""},
    "replaced elsewhere": {"status": "conflict"},
    "cannot connect": {"status": "failed"},
    "stopped by support": {"status": "idle", "wanted": "stopped"},
    "banned for hours": {"status": "banned", "banned_until": timedelta(hours=5)},
    "away for long": {"status": "reconnecting", "last_seen_at": -LONG_AGO},
}
MOMENTS = {
    "up": {},
    "away for a moment": {"status": "reconnecting", "last_seen_at": timedelta()},
    "banned for a minute": {"status": "banned", "banned_until": timedelta(minutes=1)},
    "connecting": {"status": "connecting"},
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_is_down_for_good_is_told_once_and_so_is_its_return(
    moscow: Company, yclients: LocalYClients, end: dict[str, Any]
) -> None:
    whatsapp(**end)
    work()
    work()
    assert said(yclients) == [False]
    assert yclients.installation(MOSCOW).channels == {"whatsapp": False}
    whatsapp(status="connected", wanted="linked", jid=JID, connected_at=timezone.now() - LONG_AGO)
    minutes_pass()
    work()
    work()
    assert said(yclients) == [False, True]
    assert yclients.installation(MOSCOW).channels == {"whatsapp": True}
    events = MarketplaceEvent.objects.order_by("id").values_list("event_type", flat=True)
    assert list(events) == ["channel_down", "channel_up"]


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_what_passes_by_itself_is_not_told(
    moscow: Company, yclients: LocalYClients, moment: dict[str, Any]
) -> None:
    whatsapp(**moment)
    work()
    assert said(yclients) == []
    assert not Channel.objects.exists()


def test_back_is_told_only_when_the_line_has_stood_for_a_minute(
    moscow: Company, yclients: LocalYClients
) -> None:
    whatsapp(status="conflict")
    work()
    whatsapp(status="connected", connected_at=timezone.now() - timedelta(seconds=50))
    minutes_pass()
    work()
    assert said(yclients) == [False]
    whatsapp(connected_at=timezone.now() - timedelta(seconds=61))
    work()
    assert said(yclients) == [False, True]


def test_flapping_does_not_reach_yclients_more_often_than_once_in_minutes(
    moscow: Company, yclients: LocalYClients
) -> None:
    for _flap in range(5):
        whatsapp(status="conflict")
        work()
        whatsapp(status="connected", connected_at=timezone.now() - LONG_AGO)
        work()
    assert said(yclients) == [False]
    assert Channel.objects.get().next_at > timezone.now() + timedelta(minutes=4)  # type: ignore[operator]


@pytest.mark.parametrize("status", ["frozen", "uninstalled", "activation_failed", "pending_whatsapp"])
def test_only_active_salons_are_spoken_of(yclients: LocalYClients, status: str) -> None:
    make_active(status=status)
    whatsapp(status="conflict")
    assert channels.due(limit=9) == []


def test_every_branch_that_shares_the_number_is_told(moscow: Company, yclients: LocalYClients) -> None:
    install(yclients, ALMATY)
    make_active(ALMATY, session=moscow.session)
    whatsapp(status="conflict")
    work()
    assert sorted(call.body["salon_id"] for call in yclients.calls("channel")) == [MOSCOW, ALMATY]


def test_a_refusal_is_kept_in_sight_and_not_repeated(moscow: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "uninstall")
    whatsapp(status="conflict")
    work()
    minutes_pass()
    work()
    assert said(yclients) == [False]
    row = Channel.objects.get()
    assert (row.state, row.told) == ("refused", False)
    assert "404" in row.last_error
    assert not MarketplaceEvent.objects.exists()
    channels.report_again(moscow)
    work()
    assert said(yclients) == [False, False]


def test_a_failure_is_tried_again_with_growing_pauses(moscow: Company, yclients: LocalYClients) -> None:
    yclients.fault("500", endpoint="channel", seconds=0.01, until_lifted=True)
    whatsapp(status="conflict")
    with pytest.raises(YClientsError):
        work()
    row = Channel.objects.get()
    assert (row.state, row.told, row.attempts) == ("due", None, 1)
    assert row.next_at is not None
    assert row.next_at > timezone.now() + timedelta(seconds=10)
    assert channels.due(limit=9) == []
    yclients.heal()
    minutes_pass()
    work()
    assert yclients.installation(MOSCOW).channels == {"whatsapp": False}


def test_after_a_lost_answer_yclients_is_told_again_what_is_so_by_then(
    moscow: Company, yclients: LocalYClients
) -> None:
    yclients.fault("drop_after", endpoint="channel", seconds=0.01, until_lifted=True)
    whatsapp(status="conflict")
    with pytest.raises(YClientsError):
        work()
    yclients.heal()
    whatsapp(status="connected", connected_at=timezone.now() - LONG_AGO)
    minutes_pass()
    work()
    assert yclients.installation(MOSCOW).channels == {"whatsapp": True}


def test_two_workers_make_one_call(moscow: Company, yclients: LocalYClients) -> None:
    whatsapp(status="conflict")
    first, second = channels.due(limit=9), channels.due(limit=9)
    for company_id in (*first, *second):
        channels.report(company_id)
    assert said(yclients) == [False]


def test_a_new_installation_begins_with_an_available_channel(
    moscow: Company, yclients: LocalYClients
) -> None:
    from django.db import transaction

    from marketplace.salons import lifecycle

    whatsapp(status="conflict")
    work()
    with transaction.atomic():
        lifecycle.uninstall(moscow, by="test")
    assert not Channel.objects.exists()
