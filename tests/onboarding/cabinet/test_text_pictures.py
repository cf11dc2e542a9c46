"""A picture that goes with a text: attached, sent with the messages, replaced, taken away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from marketplace.models import Company, MarketplaceEvent
from marketplace.models.bookings import BookingSettings, MessageTemplate
from tests.onboarding.cabinet.owners import owned_salon, signed_in
from tests.whatsapp.media.received import JPEG
from whatsapp.media import files
from whatsapp.messages.retention import FILES
from whatsapp.models import MediaFile, Message

pytestmark = pytest.mark.django_db(transaction=True)
EDITOR = "/cabinet/307626/texts/created"
PNG = b"\x89PNG\r\n\x1a\n the way to us"


@pytest.fixture
def salon() -> Company:
    salon = owned_salon(307626)
    BookingSettings.objects.create(company=salon, created_on=True)
    return salon


def attach(owner: Client, content: bytes = JPEG, **fields: Any) -> None:
    form = {"file": SimpleUploadedFile("map.jpg", content), **fields}
    assert owner.post(f"{EDITOR}/picture", form).status_code == 303


def send_test(owner: Client) -> Message:
    owner.post(f"{EDITOR}/test", {"phone": "+7 916 123-45-67"})
    return Message.objects.select_related("media").latest("pk")


def test_a_picture_is_seen_and_goes_with_the_text(owner: Client) -> None:
    attach(owner)
    page = owner.get(EDITOR).content.decode()
    file = MediaFile.objects.get()
    assert f"/cabinet/307626/files/{file.pk}" in page
    assert owner.get(f"/cabinet/307626/files/{file.pk}").content == JPEG
    sent = send_test(owner)
    assert sent.media_id == file.pk
    assert "Иван" in sent.text
    assert MarketplaceEvent.objects.filter(event_type="texts_changed").count() == 1


def test_the_default_words_stay_the_default(owner: Client, salon: Company) -> None:
    before = send_test(owner).text
    attach(owner)
    assert send_test(owner).text == before
    assert MessageTemplate.objects.get().text == ""


def test_it_has_no_age_while_it_is_used_and_messages_keep_what_they_were_queued_with(owner: Client) -> None:
    attach(owner)
    sent = send_test(owner)
    attach(owner, PNG)
    old, new = MediaFile.objects.order_by("pk")
    MediaFile.objects.update(created_at=timezone.now() - timedelta(days=200))
    before = timezone.now() - timedelta(days=90)
    FILES.forget(before, 0)
    assert files.read(old) == JPEG  # the first message waits
    Message.objects.filter(pk=sent.pk).update(status="failed")
    FILES.forget(before, 0)
    old.refresh_from_db()
    assert old.state == "removed"
    assert files.read(new) == PNG
    assert send_test(owner).media_id == new.pk


def test_it_is_taken_away(owner: Client) -> None:
    attach(owner)
    owner.post(f"{EDITOR}/picture", {"remove": "1"})
    assert send_test(owner).media_id is None
    assert MediaFile.objects.get().pinned is False
    assert 'name="remove"' not in owner.get(EDITOR).content.decode()


def test_too_long_a_text_goes_without_it(owner: Client, salon: Company) -> None:
    attach(owner)
    MessageTemplate.objects.update(text="x" * 1025)
    assert send_test(owner).media_id is None


def test_what_is_not_taken_is_said(owner: Client, settings: Any) -> None:
    settings.MEDIA_MAX_BYTES = 100
    attach(owner, bytes(101))
    assert "at most" in owner.get(EDITOR).content.decode()
    owner.post(f"{EDITOR}/picture", {})
    assert "Choose a file first" in owner.get(EDITOR).content.decode()
    assert not MediaFile.objects.exists()


def test_a_text_that_there_is_not_has_no_picture(owner: Client) -> None:
    form = {"file": SimpleUploadedFile("map.jpg", JPEG)}
    assert owner.post("/cabinet/307626/texts/nothing/picture", form).status_code == 404


def test_another_salon_s_picture_does_not_exist(owner: Client, salon: Company) -> None:
    """Not even for a salon that shares the number."""
    attach(owner)
    file = MediaFile.objects.get()
    others = owned_salon(412870, owner="2", session=salon.session)
    assert signed_in([others]).get(f"/cabinet/412870/files/{file.pk}").status_code == 404
