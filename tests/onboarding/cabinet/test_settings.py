"""Pausing, resuming and unlinking from the cabinet."""

from __future__ import annotations

import pytest
from django.db import transaction

from marketplace.models import Company, MarketplaceEvent
from marketplace.salons import lifecycle
from tests.onboarding.cabinet.owners import owned_salon, signed_in
from whatsapp.models import Session

pytestmark = pytest.mark.django_db


def events(kind: str) -> list[str]:
    found = MarketplaceEvent.objects.filter(event_type=kind)
    return [event.event_data["by"] for event in found]


def test_the_owner_pauses_sending_and_resumes_it() -> None:
    salon = owned_salon()
    client = signed_in([salon])
    page = client.post(f"/cabinet/{salon.salon_id}/settings/pause", follow=True).content.decode()
    assert "Sending is paused" in page
    assert Session.objects.get().sending_paused
    client.post(f"/cabinet/{salon.salon_id}/settings/pause")
    assert events("sending_paused") == ["cabinet"]
    client.post(f"/cabinet/{salon.salon_id}/settings/resume")
    assert not Session.objects.get().sending_paused
    assert events("sending_resumed") == ["cabinet"]


def test_a_payment_does_not_undo_the_owners_pause_nor_resuming_a_suspension() -> None:
    salon = owned_salon()
    client = signed_in([salon])
    client.post(f"/cabinet/{salon.salon_id}/settings/pause")
    with transaction.atomic():
        lifecycle.freeze(Company.objects.get(), by="test")
    with transaction.atomic():
        lifecycle.unfreeze(Company.objects.get(), by="test")
    assert Session.objects.get().sending_paused
    with transaction.atomic():
        lifecycle.freeze(Company.objects.get(), by="test")
    client.post(f"/cabinet/{salon.salon_id}/settings/resume")
    assert Session.objects.get().sending_paused


def test_the_owners_resume_leaves_a_pause_of_supports_and_the_page_says_so() -> None:
    salon = owned_salon()
    client = signed_in([salon])
    settings = f"/cabinet/{salon.salon_id}/settings"
    client.post(f"{settings}/pause")
    with transaction.atomic():
        lifecycle.hold_sending(Company.objects.get(), by="support: olga")
    assert "Support has paused sending" in client.get(settings).content.decode()
    shown = client.post(f"{settings}/resume", follow=True).content.decode()
    assert "messages still wait" in shown
    assert "Sending goes on" not in shown
    assert Session.objects.get().sending_paused
    shown = client.get(settings).content.decode()
    assert "Support has paused sending" in shown
    assert "/settings/resume" not in shown
    assert "Write to support" in client.get(f"/cabinet/{salon.salon_id}/").content.decode()
    with transaction.atomic():
        lifecycle.freeze(Company.objects.get(), by="test")
    with transaction.atomic():
        lifecycle.unfreeze(Company.objects.get(), by="test")
    assert Session.objects.get().sending_paused
    with transaction.atomic():
        lifecycle.release_sending(Company.objects.get(), by="support: olga")
    assert not Session.objects.get().sending_paused
    assert events("sending_paused") == ["support: olga", "cabinet"]


def test_supports_end_of_its_pause_leaves_the_owners() -> None:
    salon = owned_salon()
    with transaction.atomic():
        lifecycle.hold_sending(salon, by="support: olga")
    signed_in([salon]).post(f"/cabinet/{salon.salon_id}/settings/pause")
    with transaction.atomic():
        assert lifecycle.release_sending(Company.objects.get(), by="support: olga")
    assert Session.objects.get().sending_paused


def test_a_branch_on_the_same_number_resumes_what_another_paused() -> None:
    one = owned_salon()
    two = owned_salon(412870, session=one.session)
    client = signed_in([one, two])
    client.post(f"/cabinet/{one.salon_id}/settings/pause")
    client.post(f"/cabinet/{two.salon_id}/settings/resume")
    assert not Session.objects.get().sending_paused


def test_unlinking_asks_first_and_says_who_else_loses_it() -> None:
    one = owned_salon(title="Первый")
    owned_salon(412870, session=one.session, title="Второй")
    client = signed_in([one])
    assert "Второй" in client.get(f"/cabinet/{one.salon_id}/settings/unlink").content.decode()
    assert Session.objects.get().wanted == "linked"
    client.post(f"/cabinet/{one.salon_id}/settings/unlink")
    assert Session.objects.get().wanted == "unlinked"
    assert events("whatsapp_unlinked") == ["cabinet", "cabinet"]
    client.post(f"/cabinet/{one.salon_id}/settings/unlink")
    assert len(events("whatsapp_unlinked")) == 2
