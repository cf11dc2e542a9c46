"""The pages of support staff: they open, show no secret, and do what they say."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from config.shared.operations import MOST_AT_ONCE
from config.support_group import make_support_group
from marketplace.models import Company, InboundWebhook, MarketplaceEvent
from whatsapp.crypto.encryption import lookup_digest
from whatsapp.models import Pool, Session, SessionEvent, StoredCredentials
from whatsapp.sessions import services

pytestmark = pytest.mark.django_db

QR = "2@QrSecretQrSecretQrSecret,noise,identity,adv"
CODE = "ABCD1234"
API_KEY = "5ec4e7" + "0123456789abcdef" * 3 + "a1b2c3d4e5"
WEBHOOK_SECRET = "wh-SecretPathSecretPath"
PARTNER = "partner-tok-9d1f"
STORE = b"SQLite format 3 noise-key-material"
PHONE = "79990001122"
CLIENT_PHONE = "79161234567"
SECRETS = (QR, "QrSecret", CODE, API_KEY, WEBHOOK_SECRET, PARTNER, STORE.decode(), "gAAAA")
LISTS = (
    "whatsapp/session", "whatsapp/sessionevent", "whatsapp/pool",
    "marketplace/company", "marketplace/marketplaceevent", "marketplace/inboundwebhook",
)  # fmt: skip


@pytest.fixture
def salon() -> SimpleNamespace:
    """A linked salon, whose activation failed, with every kind of row and every kind of secret."""
    now = timezone.now()
    Pool.objects.create(name="pool-1:7:ab", heartbeat_at=now, capacity=500, sessions=1, rss_bytes=90 << 20)
    session = Session.objects.create(
        wanted="linked", status="connected", phone=PHONE, jid=f"{PHONE}:3@s.whatsapp.net", push_name="Salon",
        qr=QR, qr_expires_at=now + timedelta(seconds=20), pairing_code=CODE,
        pairing_code_expires_at=now + timedelta(seconds=60), lease_owner="pool-1:7:ab",
        lease_expires_at=now + timedelta(seconds=20), last_error=f"Traceback\nLost the line of {PHONE}",
        connected_at=now - timedelta(minutes=3),
    )  # fmt: skip
    StoredCredentials.objects.create(session=session, store=STORE, checksum="c0ffee00" * 8, taken_at=now)
    SessionEvent.objects.create(
        session=session, kind="connected", detail=f"phone {PHONE}", pool="pool-1:7:ab"
    )
    company = Company.objects.create(
        salon_id=101, title="Лотос <b>", phone=PHONE, session=session, status="activation_failed",
        api_key=API_KEY, api_key_digest=lookup_digest(API_KEY), webhook_secret=WEBHOOK_SECRET,
        webhook_secret_digest=lookup_digest(WEBHOOK_SECRET), marketplace_user_phone=PHONE,
        redirect_url=f"https://yclients.com/back?api_key={API_KEY}",
        activation_error=f'refused {{"partner_token": "{PARTNER}"}}',
    )  # fmt: skip
    MarketplaceEvent.objects.create(
        company=company, salon_id=101, event_type="activation_failed",
        event_data={"cause": "worker", "api_key": API_KEY, "phone": PHONE},
    )  # fmt: skip
    webhook = InboundWebhook.objects.create(
        kind="entity", dedupe_key="k1", salon_id=101, company=company, name="record create", state="failed",
        body={"partner_token": PARTNER, "data": {"client": {"phone": f"+{CLIENT_PHONE}"}}},
        last_error=f"Traceback\nPOST /webhook/yclients/{WEBHOOK_SECRET}",
    )  # fmt: skip
    return SimpleNamespace(session=session, company=company, webhook=webhook)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def support_user() -> User:
    user = User.objects.create_user("anna", is_staff=True)
    user.groups.add(make_support_group())
    return user


@pytest.fixture
def support(support_user: User) -> Client:
    return client_of(support_user)


@pytest.fixture
def reader() -> Client:
    """Staff that may look at everything and act on nothing."""
    user = User.objects.create_user("rita", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return client_of(user)


@pytest.fixture
def root() -> Client:
    return client_of(User.objects.create_user("root", is_staff=True, is_superuser=True))


def all_pages(client: Client) -> dict[str, str]:
    """Every list, detail and history page of the admin by its address."""
    pages = {"/admin/": ""}
    for name in LISTS:
        pages[f"/admin/{name}/"] = ""
    for model in (Session, SessionEvent, Pool, Company, MarketplaceEvent, InboundWebhook):
        for row in model._default_manager.all():
            base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{quote(row.pk)}"
            pages[f"{base}/change/"] = pages[f"{base}/history/"] = ""
    for address in pages:
        response = client.get(address)
        assert response.status_code == 200, address
        pages[address] = response.content.decode()
    return pages


@pytest.mark.parametrize("who", ["support", "reader", "root"])
def test_every_page_opens_and_shows_no_secret(
    who: str, salon: SimpleNamespace, request: pytest.FixtureRequest
) -> None:
    client = request.getfixturevalue(who)
    client.post(operate("session", "restart"), {"id": salon.session.pk, "reason": f"api_key={API_KEY}"})
    for address, html in all_pages(client).items():
        found = [secret for secret in SECRETS if secret in html]
        assert found == [], address


def test_lists_mask_phones(salon: SimpleNamespace, support: Client) -> None:
    for name in LISTS:
        html = support.get(f"/admin/{name}/").content.decode()
        assert PHONE not in html, name
        assert CLIENT_PHONE not in html, name


def test_a_detail_page_shows_phones_in_full_to_those_who_may_act(
    salon: SimpleNamespace, support: Client, reader: Client
) -> None:
    for row in (salon.company, salon.session, salon.webhook):
        address = f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"
        phone = CLIENT_PHONE if row is salon.webhook else PHONE
        assert phone in support.get(address).content.decode(), address
        assert phone not in reader.get(address).content.decode(), address


def test_pages_need_no_inline_styles_or_scripts(salon: SimpleNamespace, root: Client) -> None:
    for address, html in all_pages(root).items():
        assert not re.search(
            r"<[^>]+\sstyle=|<[^>]+\son\w+=|<style|<script(?![^>]*\ssrc=)[^>]*>\s*\S", html
        ), address


def test_titles_from_outside_are_escaped(salon: SimpleNamespace, support: Client) -> None:
    html = support.get("/admin/marketplace/company/").content.decode()
    assert "Лотос &lt;b&gt;" in html
    assert "Лотос <b>" not in html


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("marketplace/company", "101"),
        ("marketplace/company", "Лотос"),
        ("marketplace/company", "+7 (999) 000-11-22"),
        ("whatsapp/session", "0001122"),
        ("whatsapp/session", "101"),
        ("whatsapp/sessionevent", "999000"),
        ("marketplace/inboundwebhook", "record"),
        ("marketplace/marketplaceevent", "101"),
    ],
)
def test_staff_find_rows(path: str, query: str, salon: SimpleNamespace, support: Client) -> None:
    response = support.get(f"/admin/{path}/", {"q": query})
    assert response.context["cl"].result_count == 1
    assert support.get(f"/admin/{path}/", {"q": "no such thing"}).context["cl"].result_count == 0


def test_a_session_is_found_by_the_beginning_of_its_id(salon: SimpleNamespace, support: Client) -> None:
    response = support.get("/admin/whatsapp/session/", {"q": str(salon.session.pk)[:8]})
    assert response.context["cl"].result_count == 1


def test_searching_for_a_secret_finds_nothing(salon: SimpleNamespace, support: Client) -> None:
    for path in ("marketplace/company", "whatsapp/session"):
        for secret in (API_KEY, CODE, QR, WEBHOOK_SECRET):
            assert support.get(f"/admin/{path}/", {"q": secret}).context["cl"].result_count == 0


def test_filtering_by_a_secret_is_refused(salon: SimpleNamespace, support: Client) -> None:
    for query in ({"session__qr__startswith": "2"}, {"marketplace_events__event_data__icontains": "a"}):
        assert support.get("/admin/marketplace/company/", query).status_code == 400


def test_filters_open(salon: SimpleNamespace, support: Client) -> None:
    for address in (
        "whatsapp/session/?status__exact=connected", "whatsapp/session/?wanted__exact=linked",
        "whatsapp/sessionevent/?kind=connected",
        f"whatsapp/sessionevent/?session__id__exact={salon.session.pk}",
        "marketplace/company/?status__exact=activation_failed",
        "marketplace/company/?session__status__exact=connected",
        "marketplace/marketplaceevent/?event_type=activation_failed",
        "marketplace/inboundwebhook/?state__exact=failed", "marketplace/inboundwebhook/?salon_id__exact=101",
    ):  # fmt: skip
        response = support.get(f"/admin/{address}")
        assert response.status_code == 200, address
        assert response.context["cl"].result_count == 1, address


def test_rows_lead_to_each_other(salon: SimpleNamespace, support: Client) -> None:
    company = support.get(f"/admin/marketplace/company/{salon.company.pk}/change/").content.decode()
    assert f"/admin/whatsapp/session/{salon.session.pk}/change/" in company
    assert "/admin/marketplace/inboundwebhook/?salon_id__exact=101" in company
    session = support.get(f"/admin/whatsapp/session/{salon.session.pk}/change/").content.decode()
    assert f"/admin/marketplace/company/{salon.company.pk}/change/" in session
    assert "c0ffee00" in session and "c0ffee00" * 2 not in session


def test_nothing_is_added_edited_or_deleted_by_hand(salon: SimpleNamespace, root: Client) -> None:
    for row in (salon.company, salon.session, salon.webhook):
        base = f"/admin/{row._meta.app_label}/{row._meta.model_name}"
        assert root.get(f"{base}/add/").status_code == 403
        assert root.post(f"{base}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert root.post(f"{base}/{row.pk}/change/", {"status": "active"}).status_code == 403
        answer = root.post(
            f"{base}/", {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
        )
        assert answer.status_code in (200, 302)
        assert type(row).objects.filter(pk=row.pk).exists()


def operate(model: str, name: str) -> str:
    app = "whatsapp" if model == "session" else "marketplace"
    return f"/admin/{app}/{model}/operate/{name}/"


WANTED_AFTER = {"restart": "linked", "stop": "stopped", "unlink": "unlinked"}


@pytest.mark.parametrize("name", WANTED_AFTER)
def test_an_operation_is_confirmed_then_done_and_written_down(
    name: str, salon: SimpleNamespace, support: Client
) -> None:
    asked = support.get(operate("session", name), {"id": salon.session.pk})
    assert "Лотос &lt;b&gt; (101)" in asked.content.decode()
    assert Session.objects.get().version == 0
    assert LogEntry.objects.count() == 0

    done = support.post(
        operate("session", name), {"id": salon.session.pk, "reason": "the salon asked"}, follow=True
    )
    assert done.redirect_chain[0][0] == f"/admin/whatsapp/session/{salon.session.pk}/change/"
    assert [message.level_tag for message in done.context["messages"]] == ["success"]
    session = Session.objects.get()
    assert session.wanted == WANTED_AFTER[name]
    assert (session.restart_requested_at is not None) == (name == "restart")
    entry = LogEntry.objects.get()
    assert (entry.user.get_username(), entry.object_id) == ("anna", str(session.pk))
    assert "the salon asked" in entry.change_message
    noted = SessionEvent.objects.get(kind=f"{name}_requested")
    assert noted.detail == "support: anna: the salon asked"


def test_a_stopped_session_is_resumed_and_not_restarted(salon: SimpleNamespace, support: Client) -> None:
    services.stop(session=salon.session, reason="test")
    support.post(operate("session", "restart"), {"id": salon.session.pk})
    assert Session.objects.get().wanted == "stopped"
    support.post(operate("session", "resume"), {"id": salon.session.pk})
    assert Session.objects.get().wanted == "linked"
    assert LogEntry.objects.count() == 1


def test_the_detail_page_has_buttons_for_what_is_possible(
    salon: SimpleNamespace, support: Client, reader: Client
) -> None:
    address = f"/admin/whatsapp/session/{salon.session.pk}/change/"
    html = support.get(address).content.decode()
    possible = {name for name in ("restart", "stop", "resume", "unlink") if operate("session", name) in html}
    assert possible == {"restart", "stop", "unlink"}
    assert "/operate/" not in reader.get(address).content.decode()


def test_list_actions_lead_to_the_confirmation(salon: SimpleNamespace, support: Client) -> None:
    other = Session.objects.create()
    chosen = {"action": "unlink", "_selected_action": [str(salon.session.pk), str(other.pk)], "index": 0}
    asked = support.post("/admin/whatsapp/session/", chosen, follow=True)
    assert asked.redirect_chain[0][0].startswith(operate("session", "unlink"))
    assert set(Session.objects.values_list("wanted", flat=True)) == {"linked", "stopped"}
    listed = {each["row"].pk: bool(each["refusal"]) for each in asked.context["listed"]}
    assert listed == {salon.session.pk: False, other.pk: True}
    done = support.post(
        operate("session", "unlink"), {"id": [str(salon.session.pk), str(other.pk)]}, follow=True
    )
    assert {message.level_tag for message in done.context["messages"]} == {"success", "error"}
    assert LogEntry.objects.count() == 1


def test_no_more_than_a_hundred_at_once(support: Client) -> None:
    rows = Session.objects.bulk_create(Session() for _ in range(MOST_AT_ONCE + 1))
    chosen = {"action": "stop", "_selected_action": [str(row.pk) for row in rows], "index": 0}
    answer = support.post("/admin/whatsapp/session/?all=", {**chosen, "select_across": "1"}, follow=True)
    assert [message.level_tag for message in answer.context["messages"]] == ["error"]


def test_without_the_permission_nothing_can_be_done(salon: SimpleNamespace, reader: Client) -> None:
    for method in (reader.get, reader.post):
        answer: Any = method(operate("session", "unlink"), {"id": str(salon.session.pk)})
        assert answer.status_code == 403
    assert Session.objects.get().wanted == "linked"
    assert LogEntry.objects.count() == 0


def test_a_stranger_is_sent_to_the_sign_in(salon: SimpleNamespace) -> None:
    for address in (operate("session", "unlink"), "/admin/whatsapp/session/"):
        answer = Client().post(address, {"id": str(salon.session.pk)})
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


def test_an_operation_needs_the_csrf_token(salon: SimpleNamespace, support_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(support_user)
    assert client.post(operate("session", "unlink"), {"id": str(salon.session.pk)}).status_code == 403
    assert Session.objects.get().wanted == "linked"


def test_pages_with_forms_let_the_browser_name_its_origin(support: Client) -> None:
    for client, address in (
        (Client(), "/admin/login/"),
        (support, "/admin/"),
        (support, "/admin/whatsapp/session/"),
    ):
        assert client.get(address)["Referrer-Policy"] == "same-origin", address


def test_a_form_without_its_token_is_refused_in_words(support_user: User) -> None:
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "anna"})
    assert answer.status_code == 403
    assert "support-refused" in answer.content.decode()
    assert "<style" not in answer.content.decode()


@pytest.mark.parametrize("keys", [[], ["nonsense"], ["00000000-0000-0000-0000-000000000000"]])
def test_an_unknown_session_is_not_found(keys: list[str], support: Client) -> None:
    assert support.post(operate("session", "unlink"), {"id": keys}).status_code == 404
    assert support.get("/admin/whatsapp/session/operate/explode/").status_code == 404


def test_a_failure_is_said_and_leaves_no_history(
    salon: SimpleNamespace, support: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_arguments: Any) -> None:
        raise RuntimeError("the database went away")

    monkeypatch.setattr(services, "restart", fail)
    done = support.post(operate("session", "restart"), {"id": str(salon.session.pk)}, follow=True)
    assert [message.level_tag for message in done.context["messages"]] == ["error"]
    assert LogEntry.objects.count() == 0


def test_the_support_group_manages_no_users(support: Client) -> None:
    assert support.get("/admin/auth/user/").status_code == 403


def test_the_first_migrate_makes_the_support_group_and_a_command_mends_it() -> None:
    Group.objects.all().delete()
    call_command("migrate", verbosity=0)
    whole = set(Group.objects.get(name="Support").permissions.values_list("codename", flat=True))
    assert {"view_company", "change_session", "view_pool"} <= whole
    assert not [name for name in whole if name.startswith(("add_", "delete_"))]
    Group.objects.get().permissions.clear()
    call_command("create_support_group", verbosity=0)
    assert set(Group.objects.get().permissions.values_list("codename", flat=True)) == whole


def test_a_failed_activation_is_retried_by_a_worker(salon: SimpleNamespace, support: Client) -> None:
    assert (
        operate("company", "retry-activation")
        in support.get(f"/admin/marketplace/company/{salon.company.pk}/change/").content.decode()
    )
    support.get(operate("company", "retry-activation"), {"id": salon.company.pk})
    assert Company.objects.get().status == "activation_failed"
    support.post(operate("company", "retry-activation"), {"id": salon.company.pk})
    company = Company.objects.get()
    assert (company.status, company.activation_error) == ("pending_whatsapp", "")
    assert LogEntry.objects.get().object_id == str(company.pk)


def test_an_activation_is_not_retried_without_a_phone_or_a_need(
    salon: SimpleNamespace, support: Client
) -> None:
    for change in ({"status": "frozen"}, {"status": "active"}, {"session": None}):
        Company.objects.update(**{"status": "activation_failed", "session": salon.session, **change})
        done = support.post(operate("company", "retry-activation"), {"id": salon.company.pk}, follow=True)
        assert [message.level_tag for message in done.context["messages"]] == ["error"], change
    assert LogEntry.objects.count() == 0


def test_a_failed_webhook_is_made_due_again(salon: SimpleNamespace, support: Client) -> None:
    support.get(operate("inboundwebhook", "replay"), {"id": salon.webhook.pk})
    assert InboundWebhook.objects.get().state == "failed"
    support.post(operate("inboundwebhook", "replay"), {"id": salon.webhook.pk})
    webhook = InboundWebhook.objects.get()
    assert (webhook.state, webhook.last_error) == ("received", "")
    assert webhook.next_attempt_at is not None
    assert LogEntry.objects.count() == 1


def test_an_applied_webhook_is_not_replayed(salon: SimpleNamespace, support: Client) -> None:
    InboundWebhook.objects.update(state="applied")
    support.post(operate("inboundwebhook", "replay"), {"id": salon.webhook.pk})
    assert InboundWebhook.objects.get().state == "applied"


def test_the_overview_counts_and_links(salon: SimpleNamespace, support: Client) -> None:
    html = support.get("/admin/").content.decode()
    assert "/admin/whatsapp/session/?status__exact=connected" in html
    assert "/admin/marketplace/inboundwebhook/?state__exact=failed" in html
