"""Everything that is held of a client is found, written out, and erased; his opt-out goes on holding."""

import base64
import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from config.support_group import make_support_group
from marketplace.inbound import opt_outs
from marketplace.models import ClientDataRequest, Company, InboundWebhook, OptOut, RecordState
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from marketplace.privacy import client_data
from tests.marketplace.bookings.salon import IVAN, OLGA, open_salon, receive
from tests.marketplace.clients import writes
from tests.marketplace.salons_data import ALMATY, make_active
from tests.whatsapp.media.received import JPEG
from tests.whatsapp.media.received import kept as media_kept
from whatsapp.media import files
from whatsapp.models import Conversation, KnownNumber, MediaFile, Message, MessageLocation

pytestmark = pytest.mark.django_db(transaction=True)
BY = "test"
WORDS = "Запишите Ивана на пятницу"


@pytest.fixture
def moscow() -> Company:
    """A salon with a booking of Ivan, a message from him on its way to a bot, and an opt-out of his."""
    company = open_salon()
    receive("create", 1)
    row = Forwarding.objects.create(company=company, url="https://bot.example.com/", secret="s")
    ForwardedMessage.objects.create(forwarding=row, message=writes(company, WORDS, phone=IVAN))
    KnownNumber.objects.create(phone=IVAN, on_whatsapp=True, lid="7@lid", checked_at=timezone.now())
    opt_outs.opt_out(company_ids=[company.pk], phone=IVAN, scope="adds")
    return company


def everything() -> str:
    """All that the tables hold, as text."""
    tables: list[Any] = [
        Message,
        RecordState,
        InboundWebhook,
        OptOut,
        KnownNumber,
        Conversation,
        ForwardedMessage,
        ClientDataRequest,
    ]
    return "\n".join(str(list(table.objects.values())) for table in tables)


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("client_data", *arguments, stdout=out)
    return out.getvalue()


def test_an_export_holds_everything_and_is_written_down_without_the_phone(moscow: Company) -> None:
    found = json.loads(command("+7 999 000-00-00", "export"))
    assert {row["direction"] for row in found["messages"]} == {"out", "in"}
    assert WORDS in [row["text"] for row in found["messages"]]
    assert found["bookings"][0]["phone"] == IVAN
    assert found["webhooks"][0]["body"]["data"]["client"]["name"] == "Иван"
    assert len(found["forwarded"]) == len(found["opt_outs"]) == len(found["known_numbers"]) == 1
    assert [(row["phone"], row["unread"]) for row in found["conversations"]] == [(IVAN, 1)]
    audit = ClientDataRequest.objects.get()
    assert (audit.action, audit.by, audit.counts["webhooks"]) == ("export", "command", 1)
    assert IVAN not in str(ClientDataRequest.objects.values())


def test_a_client_s_files_and_places_are_exported_and_erased_and_nobody_else_s(moscow: Company) -> None:
    session = moscow.session
    assert session is not None
    mine = media_kept(session, name="Паспорт Ивана.jpg")
    shared, olgas = media_kept(session), media_kept(session)
    Message.objects.filter(pk__in=[mine.pk, shared.pk]).update(phone=IVAN)
    Message.objects.filter(pk=olgas.pk).update(phone=OLGA, media=shared.media)
    place = Message.objects.create(
        session=session, direction="in", source="inbound", status="received", phone=IVAN, note="location"
    )
    MessageLocation.objects.create(message=place, latitude=55.75, longitude=37.61, address="Тверская, 1")
    found = client_data.export(phone=IVAN, by=BY)
    (file,) = found["files"]
    assert (file["name"], base64.b64decode(file["content"])) == ("Паспорт Ивана.jpg", JPEG)
    assert "Тверская, 1" in [row["place"]["address"] for row in found["messages"] if row["place"]]
    counts = client_data.erase(phone=IVAN, by=BY)
    assert counts["files"] == 1
    assert "Паспорт" not in str([row.name for row in MediaFile.objects.all()])
    assert not MessageLocation.objects.exists()
    assert mine.media is not None and not files.storage().exists(mine.media.stored_name)
    assert files.read(MediaFile.objects.get(pk=shared.media_id or 0)) == JPEG


def test_an_erasure_leaves_nothing_of_the_client(moscow: Company) -> None:
    assert IVAN in everything()
    counts = client_data.erase(phone=IVAN, by=BY)
    left = everything()
    for trace in (IVAN, IVAN[-10:], "Иван", WORDS, "7@lid"):
        assert trace not in left
    assert counts["messages"] == Message.objects.count() == 2
    assert client_data.count(phone=IVAN) == {**dict.fromkeys(client_data.count(phone=OLGA), 0), "opt_outs": 1}


def test_an_erasure_leaves_other_clients_alone(moscow: Company) -> None:
    receive("create", 2, id=5, client={"id": 2, "name": "Ольга", "phone": f"+{OLGA}"})
    writes(moscow, "Это я, Ольга", phone=OLGA)
    before = client_data.count(phone=OLGA)
    client_data.erase(phone=IVAN, by=BY)
    assert client_data.count(phone=OLGA) == before
    assert before["messages"] == 2


def test_the_opt_out_holds_after_the_erasure(moscow: Company) -> None:
    client_data.erase(phone=IVAN, by=BY)
    row = OptOut.objects.get()
    assert row.phone == ""
    assert len(row.phone_hash) == 64
    assert opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN, everything=True)
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=OLGA)


def test_an_erased_client_who_wants_messages_again_gets_them(moscow: Company) -> None:
    client_data.erase(phone=IVAN, by=BY)
    assert opt_outs.opt_in(company_ids=[moscow.pk], phone=IVAN)
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)
    assert OptOut.objects.count() == 1


def test_what_waits_is_not_sent_any_more_and_the_sender_is_told(moscow: Company) -> None:
    Message.objects.filter(direction="out").update(callback_state="due", callback_url="https://y/callback")
    client_data.erase(phone=IVAN, by=BY)
    row = Message.objects.get(direction="out")
    assert (row.status, row.error_code, row.callback_state) == ("failed", "erased", "due")
    assert row.callback_url


def test_a_message_in_flight_is_named_and_goes_at_the_second_call(moscow: Company) -> None:
    Message.objects.filter(direction="out").update(status="sending")
    with pytest.raises(CommandError) as refused:
        command(IVAN, "erase")
    assert refused.value.returncode == 3
    Message.objects.filter(direction="out").update(status="sent", wa_message_id="WA")
    assert json.loads(command(IVAN, "erase", "--json"))["in_flight"] == 0
    assert IVAN not in everything()


def test_a_repeat_of_an_erased_webhook_is_still_a_repeat(moscow: Company) -> None:
    client_data.erase(phone=IVAN, by=BY)
    assert receive("create", 1).repeats == 1
    assert InboundWebhook.objects.get().body == {
        "company_id": moscow.salon_id, "resource": "record", "resource_id": 596792980, "status": "create",
        "erased": True,
    }  # fmt: skip


def test_of_one_salon_only_its_own_data_is_erased(moscow: Company) -> None:
    almaty = make_active(ALMATY)
    writes(almaty, "Салем", phone=IVAN)
    client_data.erase(phone=IVAN, by=BY, salon_id=ALMATY)
    assert Message.objects.get(session=almaty.session).text == ""
    assert [row.session for row in Conversation.objects.all()] == [moscow.session]
    assert RecordState.objects.exists()
    assert KnownNumber.objects.exists()


def test_a_bad_phone_and_an_unknown_salon_are_refused(moscow: Company) -> None:
    for arguments in (("Иван", "erase"), (IVAN, "erase", "--salon", "5")):
        with pytest.raises(CommandError):
            command(*arguments)
    assert not ClientDataRequest.objects.exists()


@pytest.fixture
def support() -> Client:
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(make_support_group())
    client = Client(headers={"Accept-Language": "ru"})
    client.force_login(user)
    return client


ADD = "/admin/marketplace/clientdatarequest/add/"


def test_support_sees_what_would_be_erased_before_anything_is(support: Client, moscow: Company) -> None:
    form = {"phone": "8 (999) 000-00-00", "action": "erase"}
    shown = support.post(ADD, form).content.decode()
    assert "Стереть навсегда" in shown
    assert Message.objects.filter(phone=IVAN).exists()
    assert support.post(ADD, {**form, "confirmed": "1"}).status_code == 302
    assert not Message.objects.filter(phone=IVAN).exists()
    assert ClientDataRequest.objects.get().by == "support: olga"
    listed = support.get("/admin/marketplace/clientdatarequest/").content.decode()
    assert "7999*****00" in listed
    assert IVAN not in listed


def test_support_exports_a_file_that_nobody_caches(support: Client, moscow: Company) -> None:
    answer = support.post(ADD, {"phone": IVAN, "action": "export", "confirmed": "1"})
    assert "no-store" in answer["Cache-Control"]
    assert json.loads(answer.content)["phone"] == IVAN


def test_who_may_only_look_exports_and_erases_nothing(moscow: Company) -> None:
    user = User.objects.create_user("onlooker", is_staff=True)
    user.user_permissions.set(make_support_group().permissions.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, {"phone": IVAN, "action": "erase", "confirmed": "1"}).status_code == 403
    assert Message.objects.filter(phone=IVAN).exists()
