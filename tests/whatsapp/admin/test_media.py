"""Files in the admin: what became of them, opened on the record, fetched again, removed."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from config.support_group import make_support_group
from tests.whatsapp.media.received import JPEG, kept
from whatsapp.media import files
from whatsapp.models import MediaFile, Message
from whatsapp.sessions import services

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def support() -> Client:
    user = User.objects.create_user("support", is_staff=True)
    user.groups.add(make_support_group())
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


@pytest.fixture
def message() -> Message:
    return kept(services.create_session(), JPEG, name="Паспорт.jpg")


def content(message: Message) -> str:
    return reverse("admin:whatsapp_mediafile_content", args=[message.media_id])


def operate(client: Client, name: str, message: Message) -> Any:
    address = reverse("admin:whatsapp_mediafile_operate", args=[name])
    return client.post(address, {"id": message.media_id, "reason": "asked by the salon"})


def test_a_message_leads_to_its_file_and_opening_it_is_written_down(
    support: Client, message: Message
) -> None:
    page = support.get(reverse("admin:whatsapp_message_change", args=[message.pk])).content.decode()
    own = reverse("admin:whatsapp_mediafile_change", args=[message.media_id])
    assert own in page
    assert content(message) in support.get(own).content.decode()
    assert support.get(content(message)).content == JPEG
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user.get_username()) == (str(message.media_id), "support")


def test_neither_key_nor_address_is_on_any_page(support: Client, message: Message) -> None:
    file = message.media
    assert file is not None
    MediaFile.objects.filter(pk=file.pk).update(reference='{"key": "SECRET-REFERENCE"}')
    for name, arguments in (("mediafile_changelist", []), ("mediafile_change", [file.pk])):
        page = support.get(reverse(f"admin:whatsapp_{name}", args=arguments)).content.decode()
        assert file.key not in page
        assert "SECRET-REFERENCE" not in page


def test_who_may_only_look_does_not_open_files(message: Message) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_mediafile"))
    client = Client()
    client.force_login(viewer)
    assert client.get(reverse("admin:whatsapp_mediafile_changelist")).status_code == 200
    assert client.get(content(message)).status_code == 403
    assert Client().get(content(message)).status_code == 302


def test_what_was_given_up_is_fetched_again(support: Client, message: Message) -> None:
    MediaFile.objects.update(state="dead", last_error="gone: x", reference="{}", attempts=40)
    operate(support, "fetch", message)
    row = MediaFile.objects.get()
    assert (row.state, row.attempts, row.last_error) == ("waiting", 0, "")
    assert row.next_attempt_at is not None


def test_a_file_is_removed_for_good(support: Client, message: Message) -> None:
    assert message.media is not None
    operate(support, "remove", message)
    row = MediaFile.objects.get()
    assert (row.state, row.key, row.name) == ("removed", "", "")
    assert not files.storage().exists(message.media.stored_name)


def test_a_file_that_a_waiting_message_has_is_not_removed(support: Client, message: Message) -> None:
    Message.objects.create(session=message.session, source="cabinet", phone="7", media=message.media)
    operate(support, "remove", message)
    assert MediaFile.objects.get().state == "kept"


def test_what_was_given_up_is_counted_on_the_first_page(support: Client, message: Message) -> None:
    MediaFile.objects.update(state="dead")
    page = support.get(reverse("admin:index")).content.decode()
    assert "/whatsapp/mediafile/?state__exact=dead" in page or "/whatsapp/mediafile/?state=dead" in page
