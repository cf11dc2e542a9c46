"""Support staff's pages for opt-outs, forwarding and the welcome."""

import re
from typing import Any

import pytest
from django.test import Client

from config.support_group import make_support_group
from marketplace.inbound import opt_outs
from marketplace.models import Company, OptOut
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from marketplace.models.welcome import WelcomeText
from tests.marketplace.admin.staff import signed_in, signed_in_onlooker
from tests.marketplace.clients import IVAN, work, writes
from tests.marketplace.salons_data import MOSCOW, make_active
from whatsapp.messages import message_queue
from whatsapp.messages.message_queue import NewMessage
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "s3cr3t-of-the-tests"
URL = "https://bot.example.com/hook?token=very-secret"


@pytest.fixture
def moscow() -> Company:
    return make_active(MOSCOW, title="Ножницы")


@pytest.fixture
def forwarded(moscow: Company) -> ForwardedMessage:
    row = Forwarding.objects.create(company=moscow, url=URL, secret=SECRET)
    return ForwardedMessage.objects.create(forwarding=row, message=writes(moscow, "Привет"), state="dead")


@pytest.fixture
def support(settings: Any) -> Client:
    return signed_in("support", make_support_group())


@pytest.fixture
def onlooker() -> Client:
    return signed_in_onlooker()


def page(client: Client, path: str) -> str:
    response = client.get(f"/admin/marketplace/{path}")
    assert response.status_code == 200, path
    return response.content.decode()


def test_an_opt_out_is_found_by_phone_and_undone_with_a_trace(support: Client, moscow: Company) -> None:
    opt_outs.opt_out(company_ids=[moscow.pk], phone=IVAN)
    row = OptOut.objects.get()
    assert "Ножницы" in page(support, "optout/?q=%2B7+999+000-00-00")
    assert "Ножницы" not in page(support, "optout/?q=79991111111").split("result_list")[-1]
    assert "Ножницы" in page(support, "optout/?holds=yes").split("result_list")[-1]
    assert "Ножницы" not in page(support, "optout/?holds=no").split("result_list")[-1]
    support.post("/admin/marketplace/optout/operate/undo/", {"id": row.pk, "reason": "позвонил"})
    row.refresh_from_db()
    assert not row.holds
    assert row.said_by == "support: support: позвонил"


def test_support_notes_what_a_client_told_a_person(support: Client, moscow: Company) -> None:
    form = {"salon": MOSCOW, "phone": "8 (999) 000-00-00", "scope": "everything"}
    response = support.post("/admin/marketplace/optout/add/", form)
    assert response.status_code == 302
    assert opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)
    again = support.post("/admin/marketplace/optout/add/", form).content.decode()
    assert "Клиент уже отписался." in again
    unknown = support.post("/admin/marketplace/optout/add/", {**form, "salon": 5}).content.decode()
    assert "Такого салона у нас нет." in unknown
    bad = support.post("/admin/marketplace/optout/add/", {**form, "phone": "Иван"})
    assert bad.status_code == 200


def test_a_forwarding_is_made_and_its_secret_shown_once(support: Client, moscow: Company) -> None:
    form = {"salon": MOSCOW, "url": URL, "enabled": "on"}
    made = support.post("/admin/marketplace/forwarding/add/", form)
    row = Forwarding.objects.get()
    assert re.search(r'id="secret">([0-9a-f]{64})<', made.content.decode()).group(1) == row.secret  # type: ignore[union-attr]
    assert "no-store" in made["Cache-Control"]
    assert row.secret not in page(support, f"forwarding/{row.pk}/change/")
    assert row.secret not in page(support, "forwarding/")


@pytest.mark.parametrize("url", ["http://bot.example.com/", "ftp://x", "мусор", "https://a@b/"])
def test_an_address_that_is_not_https_is_refused_in_the_form(
    support: Client, moscow: Company, url: str
) -> None:
    form = {"salon": MOSCOW, "url": url, "enabled": "on"}
    said = support.post("/admin/marketplace/forwarding/add/", form).content.decode()
    assert "Адрес должен быть обычным https-адресом." in said
    assert not Forwarding.objects.exists()


def test_a_new_secret_is_asked_for_first_and_then_shown(support: Client, forwarded: ForwardedMessage) -> None:
    path = f"/admin/marketplace/forwarding/{forwarded.forwarding_id}/new-secret/"
    assert path in page(support, f"forwarding/{forwarded.forwarding_id}/change/")
    support.get(path)
    assert Forwarding.objects.get().secret == SECRET
    shown = support.post(path).content.decode()
    assert Forwarding.objects.get().secret != SECRET
    assert Forwarding.objects.get().secret in shown


def test_switching_off_gives_up_what_waits(support: Client, forwarded: ForwardedMessage) -> None:
    ForwardedMessage.objects.update(state="due")
    support.post(f"/admin/marketplace/forwarding/{forwarded.forwarding_id}/change/", {"url": URL})
    row = Forwarding.objects.get()
    assert (row.enabled, row.secret, row.url) == (False, SECRET, URL)
    assert ForwardedMessage.objects.get().state == "dead"


def test_a_given_up_message_is_forwarded_again(support: Client, forwarded: ForwardedMessage) -> None:
    support.post("/admin/marketplace/forwardedmessage/operate/replay/", {"id": forwarded.pk})
    forwarded.refresh_from_db()
    assert forwarded.state == "due"
    assert "Ножницы" in page(support, "forwardedmessage/")
    assert "Ножницы" in page(support, f"forwardedmessage/{forwarded.pk}/change/")


def test_the_welcome_begins_with_our_words_and_is_previewed_before_it_is_kept(support: Client) -> None:
    assert "WhatsApp подключён к YClients" in page(support, "welcometext/add/")
    shown = support.post(
        "/admin/marketplace/welcometext/preview/", {"language": "ru", "text": "Привет, {salon}! <b>"}
    ).content.decode()
    assert "Привет, Студия «Ножницы» (307626)! &lt;b&gt;" in shown
    assert not WelcomeText.objects.exists()
    bad = support.post("/admin/marketplace/welcometext/add/", {"language": "ru", "text": "{nobody}"})
    assert "Подставляется только {salon}" in bad.content.decode()
    support.post("/admin/marketplace/welcometext/add/", {"language": "ru", "text": "Привет, {salon}!"})
    row = WelcomeText.objects.get()
    assert "Привет" in page(support, f"welcometext/{row.pk}/change/")
    support.post(f"/admin/marketplace/welcometext/{row.pk}/delete/", {"post": "yes"})
    assert not WelcomeText.objects.exists()


def test_onlookers_see_no_address_no_phone_and_change_nothing(
    onlooker: Client, forwarded: ForwardedMessage
) -> None:
    opt_outs.opt_out(company_ids=[forwarded.forwarding.company_id], phone=IVAN)
    WelcomeText.objects.create(language="ru", text="Привет")
    row = forwarded.forwarding_id
    paths = [
        "optout/", f"optout/{OptOut.objects.get().pk}/change/", "forwarding/", f"forwarding/{row}/change/",
        "forwardedmessage/", "welcometext/", f"welcometext/{WelcomeText.objects.get().pk}/change/",
    ]  # fmt: skip
    shown = "".join(page(onlooker, path) for path in paths)
    assert IVAN not in shown
    assert "very-secret" not in shown
    for path in (f"forwarding/{row}/new-secret/", "welcometext/preview/", "optout/add/", "forwarding/add/"):
        assert onlooker.post(f"/admin/marketplace/{path}").status_code == 403


def test_no_page_shows_the_secret(support: Client, forwarded: ForwardedMessage) -> None:
    for path in ("forwarding/", f"forwarding/{forwarded.forwarding_id}/change/", "forwardedmessage/"):
        assert SECRET not in page(support, path)


def test_a_salons_page_leads_to_its_opt_outs(support: Client, moscow: Company) -> None:
    opt_outs.opt_out(company_ids=[moscow.pk], phone=IVAN)
    shown = page(support, f"company/{moscow.pk}/change/")
    assert f"optout/?company__id__exact={moscow.pk}" in shown
    assert page(support, f"optout/?company__id__exact={moscow.pk}")


def test_a_clients_message_that_was_given_up_is_acted_on_again(support: Client, moscow: Company) -> None:
    message = writes(moscow, "СТОП")
    Message.objects.update(callback_state="dead")
    assert "process-again" in support.get(f"/admin/whatsapp/message/{message.pk}/change/").content.decode()
    support.post("/admin/whatsapp/message/operate/process-again/", {"id": message.pk})
    work()
    assert opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)


def test_advertising_is_not_sent_again_to_who_opted_out(support: Client, moscow: Company) -> None:
    assert moscow.session is not None
    new = NewMessage(phone=IVAN, text="Скидка", source="operator", external_id="n", category="adds")
    message = message_queue.queue_message(session=moscow.session, message=new)
    opt_outs.opt_out(company_ids=[moscow.pk], phone=IVAN)
    said = support.post("/admin/whatsapp/message/operate/resend/", {"id": message.pk}, follow=True)
    assert "Клиент отписался." in said.content.decode()
    assert Message.objects.count() == 1
