"""The webhook doors: kept before they are answered, once, and from nobody but YClients."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import AsyncClient, Client
from django.utils import timezone
from prometheus_client import REGISTRY

from marketplace import effects, lifecycle, webhooks
from marketplace.models import Company, InboundWebhook, MarketplaceEvent
from tests.environment import PARTNER_TOKEN
from tests.marketplace.cast import ALMATY, ANDREY, MOSCOW, make_active
from tests.marketplace.outside import LocalYClients
from tests.payloads import load
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)
DOOR = "/webhook/yclients"
MOSCOW_DOOR = f"{DOOR}/webhook_secret-of-{MOSCOW}"


def post(body: Any, door: str = DOOR) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client().post(door, data=raw, content_type="application/json")


def lifecycle_body(event: str, **changes: Any) -> dict[str, Any]:
    return load("uninstall", event=event, **changes)


def events(kind: str) -> int:
    return MarketplaceEvent.objects.filter(event_type=kind).count()


# --- Who may speak --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"partner_token": "forged"},
        {"partner_token": None},
        {"partner_token": 5},
        {"partner_token": ["test-partner-token-6f1c0a"]},
        {"partner_token": ""},
        {"partner_token": "\ud800"},
        {"application_id": 4243},
    ],
)
def test_a_forged_lifecycle_event_changes_nothing_and_is_counted(changes: dict[str, Any]) -> None:
    make_active()
    labels = {"kind": "lifecycle", "outcome": "refused"}
    before = REGISTRY.get_sample_value("marketplace_webhooks_total", labels) or 0
    for door in (DOOR, MOSCOW_DOOR):
        assert post(lifecycle_body("uninstall", **changes), door).status_code == 403
    assert REGISTRY.get_sample_value("marketplace_webhooks_total", labels) == before + 2
    assert Company.objects.get().status == "active"
    assert not InboundWebhook.objects.exists()


def test_without_a_partner_token_of_ours_nobody_is_believed(settings: Any) -> None:
    settings.YCLIENTS_PARTNER_TOKEN = ""
    assert post(lifecycle_body("uninstall", partner_token="")).status_code == 403


def test_an_application_id_may_be_text_and_the_event_be_named_event_type() -> None:
    make_active()
    body = lifecycle_body("uninstall", application_id="4242", salon_id=str(MOSCOW), event_type="freeze")
    del body["event"]
    assert post(body).status_code == 200
    assert Company.objects.get().status == "frozen"


def test_an_entity_event_needs_the_salons_own_address() -> None:
    make_active()
    make_active(ALMATY)
    for door in (DOOR, f"{DOOR}/guessed", f"{DOOR}/webhook_secret-of-{ALMATY}"):
        assert post(load("record_update"), door).status_code == 403
    assert not InboundWebhook.objects.exists()


def test_a_lifecycle_event_on_another_salons_address_is_refused() -> None:
    make_active()
    make_active(ALMATY)
    door = f"{DOOR}/webhook_secret-of-{ALMATY}"
    assert post(lifecycle_body("uninstall"), door).status_code == 403
    assert Company.objects.get(salon_id=MOSCOW).status == "active"


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_probe_is_answered(method: str) -> None:
    for door in (DOOR, f"{DOOR}/anything"):
        assert getattr(Client(), method)(door).status_code == 200
    assert Client().put(DOOR).status_code == 405


# --- Bad bodies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"not json",
        b"[]",
        b'"text"',
        b"null",
        b"{}",
        b'{"event": NaN}',
        b'{"event": 1e999}',
        b"\xff\xfe{}",
        b"salon_id=1&event=uninstall",
        b'{"event":"x","a":' + b"9" * 5000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
    ],
)
def test_what_cannot_be_read_gets_400(raw: bytes) -> None:
    answer = post(raw)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "changes",
    [
        {"salon_id": None},
        {"salon_id": 0},
        {"salon_id": 2**63},
        {"salon_id": True},
        {"salon_id": {}},
        {"event": {}},
    ],
)
def test_a_lifecycle_event_with_odd_fields_gets_400(changes: dict[str, Any]) -> None:
    assert post({**lifecycle_body("freeze"), **changes}).status_code == 400


@pytest.mark.parametrize(
    "changes", [{"company_id": "x"}, {"resource": []}, {"resource_id": {}}, {"status": 1.5}]
)
def test_an_entity_event_with_odd_fields_is_no_server_error(changes: dict[str, Any]) -> None:
    make_active()
    assert post({**load("record_update"), **changes}, MOSCOW_DOOR).status_code in (200, 400)


def test_more_than_a_mebibyte_is_refused_with_and_without_a_length() -> None:
    make_active()
    big = {**load("record_update"), "filling": "x" * 1024 * 1024}
    assert post(big, MOSCOW_DOOR).status_code == 413
    assert not InboundWebhook.objects.exists()


async def test_a_long_body_without_a_length_is_refused() -> None:
    from channels.testing import ApplicationCommunicator
    from django.core.asgi import get_asgi_application

    scope = {
        "type": "http",
        "method": "POST",
        "path": DOOR,
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"transfer-encoding", b"chunked")],
    }
    door = ApplicationCommunicator(get_asgi_application(), scope)
    await door.send_input({"type": "http.request", "body": b"[" * 1024 * 1024, "more_body": True})
    await door.send_input({"type": "http.request", "body": b"[[", "more_body": False})
    assert (await door.receive_output(10))["status"] == 413


async def test_the_door_works_under_asgi() -> None:
    answer = await AsyncClient().post(DOOR, data=b"{", content_type="application/json")
    assert answer.status_code == 400


# --- Kept -----------------------------------------------------------------------------------------


def test_a_record_is_kept_whole_and_marked() -> None:
    company = make_active()
    assert post(load("record_update"), MOSCOW_DOOR).json() == {"success": True, "status": "kept"}
    kept = InboundWebhook.objects.get()
    assert (kept.company_id, kept.salon_id, kept.name) == (company.pk, MOSCOW, "record.update")
    assert (kept.state, kept.body) == ("ignored", load("record_update"))


def test_secrets_are_not_kept_at_any_depth() -> None:
    make_active()
    body = load("record_update")
    body["data"]["client"]["api_key"] = "k"
    body["data"]["services"][0] |= {"Access_Token": "t", "note": f"see {PARTNER_TOKEN}"}
    post(body, MOSCOW_DOOR)
    post(lifecycle_body("freeze", extra={"deep": [{"password": "p"}]}))
    kept = json.dumps(list(InboundWebhook.objects.values_list("body", flat=True)))
    assert PARTNER_TOKEN not in kept
    assert not [word for word in ("api_key", 'oken"', "password") if word in kept]
    assert "see [removed]" in kept


def test_characters_that_no_database_keeps_are_replaced() -> None:
    make_active()
    body = load("record_update", resource_id="a\x00b", note="\ud800 \x00", **{"\x00key": 1})
    assert post(body, MOSCOW_DOOR).status_code in (200, 400)
    body = load("record_update", note="\ud800 \x00", **{"\x00key": 1})
    assert post(body, MOSCOW_DOOR).status_code == 200
    assert InboundWebhook.objects.get().body["note"] == "\ufffd \ufffd"


def test_unknown_resources_and_events_are_kept() -> None:
    make_active()
    assert post(load("record_update", resource="loyalty_card"), MOSCOW_DOOR).status_code == 200
    assert post(lifecycle_body("tariff_changed")).status_code == 200
    assert set(InboundWebhook.objects.values_list("state", flat=True)) == {"ignored"}


def test_an_event_about_a_salon_that_never_came_is_kept() -> None:
    assert post(lifecycle_body("uninstall", salon_id=99)).status_code == 200
    assert InboundWebhook.objects.get().state == "ignored"


def test_a_database_that_is_away_is_never_answered_with_200(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_arguments: Any, **_more: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(InboundWebhook, "save", away)
    assert post(lifecycle_body("freeze")).status_code == 503


# --- Repeats --------------------------------------------------------------------------------------


def test_a_record_that_arrives_four_times_is_kept_once() -> None:
    make_active()
    answers = [post(load("record_update"), MOSCOW_DOOR) for _ in range(4)]
    assert [answer.json()["status"] for answer in answers] == ["kept", "repeat", "repeat", "repeat"]
    assert InboundWebhook.objects.get().repeats == 3


def test_a_changed_record_is_not_a_repeat() -> None:
    make_active()
    body = load("record_update")
    post(body, MOSCOW_DOOR)
    body["data"]["attendance"] = -1
    post(body, MOSCOW_DOOR)
    post({**body, "status": "delete"}, MOSCOW_DOOR)
    assert InboundWebhook.objects.count() == 3


def test_the_order_of_fields_makes_no_other_record() -> None:
    make_active()
    body = load("record_update")
    post(body, MOSCOW_DOOR)
    body["data"] = dict(reversed(body["data"].items()))
    assert post(body, MOSCOW_DOOR).json()["status"] == "repeat"


def test_copies_that_arrive_at_once_are_kept_once() -> None:
    make_active()

    def one(number: int) -> int:
        try:
            body, door = (
                (load("record_update"), MOSCOW_DOOR) if number % 2 else (lifecycle_body("freeze"), DOOR)
            )
            return int(post(body, door).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(one, range(12))) == {200}
    assert sorted(InboundWebhook.objects.values_list("repeats", flat=True)) == [5, 5]
    assert events("frozen") == 1


# --- Effects --------------------------------------------------------------------------------------


def test_uninstall_unlinks_and_destroys() -> None:
    company = make_active()
    assert post(lifecycle_body("uninstall")).status_code == 200
    session = Session.objects.get()
    company.refresh_from_db()
    assert (company.status, company.api_key, company.webhook_secret) == ("uninstalled", "", "")
    assert (company.api_key_digest, company.webhook_secret_digest, company.session) == (None, None, None)
    assert session.wanted == "unlinked"
    assert events("uninstalled") == 1
    assert InboundWebhook.objects.get().state == "applied"


def test_an_uninstall_leaves_the_other_salons_of_the_session_their_whatsapp() -> None:
    first = make_active()
    second = make_active(ALMATY, session=first.session)
    post(lifecycle_body("uninstall"))
    second.refresh_from_db()
    assert (second.status, second.session_id) == ("active", first.session_id)
    assert Session.objects.get().wanted == "linked"
    post(lifecycle_body("uninstall", salon_id=ALMATY))
    assert Session.objects.get().wanted == "unlinked"


def test_a_repeated_uninstall_has_no_second_effect_even_on_the_destroyed_address() -> None:
    make_active()
    answers = [post(lifecycle_body("uninstall"), door) for door in (MOSCOW_DOOR, DOOR, MOSCOW_DOOR)]
    assert [answer.json()["status"] for answer in answers] == ["kept", "repeat", "repeat"]
    assert events("uninstalled") == 1


def test_freeze_and_payment() -> None:
    company = make_active()
    for event, status in (
        ("freeze", "frozen"),
        ("payment", "active"),
        ("freeze", "frozen"),
        ("payment", "active"),
    ):
        assert post(lifecycle_body(event)).json()["status"] == "kept"
        company.refresh_from_db()
        assert company.status == status
        assert company.api_key
    assert Session.objects.get().wanted == "linked"
    assert (events("frozen"), events("unfrozen")) == (2, 2)


def reinstall(yclients: LocalYClients) -> Company:
    from marketplace.registration import start_registration

    yclients.press_connect(MOSCOW)
    return start_registration(salon_ids=[MOSCOW], user=ANDREY, signed=True).primary


def test_a_reinstall_after_an_uninstall_starts_with_a_session_of_its_own(yclients: LocalYClients) -> None:
    before = make_active().session_id
    post(lifecycle_body("uninstall"))
    company = reinstall(yclients)
    assert company.status == "pending_whatsapp"
    assert company.session is not None
    assert company.session_id != before
    assert (company.session.wanted, company.session.is_linked) == ("stopped", False)


def test_an_uninstall_after_a_reinstall_is_not_a_repeat(yclients: LocalYClients) -> None:
    make_active()
    post(lifecycle_body("uninstall"))
    company = reinstall(yclients)
    yclients.change(MOSCOW, "uninstall")
    assert post(lifecycle_body("uninstall")).json()["status"] == "kept"
    company.refresh_from_db()
    assert company.status == "uninstalled"
    assert events("uninstalled") == 2


def test_a_late_copy_of_the_old_uninstall_does_not_hit_the_new_installation(yclients: LocalYClients) -> None:
    make_active()
    post(lifecycle_body("uninstall"))
    company = reinstall(yclients)
    assert post(lifecycle_body("uninstall")).status_code == 200
    company.refresh_from_db()
    assert company.status == "pending_whatsapp"
    assert InboundWebhook.objects.latest("id").state == "ignored"


def test_an_uninstall_that_cannot_be_told_from_a_late_copy_waits_for_yclients(
    yclients: LocalYClients,
) -> None:
    make_active()
    post(lifecycle_body("uninstall"))
    company = reinstall(yclients)
    yclients.change(MOSCOW, "uninstall")
    yclients.fault("422", endpoint="install_status")
    assert post(lifecycle_body("uninstall")).status_code == 200
    waiting = InboundWebhook.objects.latest("id")
    assert waiting.state == "failed"
    InboundWebhook.objects.filter(pk=waiting.pk).update(next_attempt_at=timezone.now())
    waiting.refresh_from_db()
    assert effects.apply(webhook=waiting) == "applied"
    company.refresh_from_db()
    assert company.status == "uninstalled"


def test_a_freeze_during_an_activation_is_applied_after_it() -> None:
    company = make_active(status="activating")
    assert post(lifecycle_body("freeze")).status_code == 200
    kept = InboundWebhook.objects.get()
    assert kept.state == "failed"
    Company.objects.update(status="active")
    InboundWebhook.objects.update(next_attempt_at=timezone.now())
    kept.refresh_from_db()
    effects.apply(webhook=kept)
    company.refresh_from_db()
    assert company.status == "frozen"


# --- Failures -------------------------------------------------------------------------------------


def broken(*_arguments: Any, **_more: Any) -> bool:
    raise ValueError(f"partner_token={PARTNER_TOKEN} of +79990000900")


def test_a_failed_effect_is_kept_with_its_traceback_and_can_be_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    company = make_active()
    with monkeypatch.context() as hook:
        hook.setitem(effects.EFFECTS_OF, "uninstall", broken)
        assert post(lifecycle_body("uninstall")).status_code == 200
    kept = InboundWebhook.objects.get()
    assert (kept.state, kept.attempts) == ("failed", 1)
    assert "Traceback" in kept.last_error
    assert PARTNER_TOKEN not in kept.last_error
    assert "79990000900" not in kept.last_error
    assert kept.next_attempt_at is not None
    webhooks.replay(webhook=kept)
    assert effects.apply(webhook=kept) == "applied"
    company.refresh_from_db()
    assert company.status == "uninstalled"


def test_an_effect_is_applied_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    make_active()

    def half(company: Company, *, by: str) -> bool:
        lifecycle.uninstall(company, by=by)
        return broken()

    monkeypatch.setitem(effects.EFFECTS_OF, "uninstall", half)
    post(lifecycle_body("uninstall"))
    company = Company.objects.get()
    assert (company.status, bool(company.api_key)) == ("active", True)
    assert events("uninstalled") == 0


def test_after_many_failures_a_webhook_is_dead_and_waits_for_a_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_active()
    monkeypatch.setitem(effects.EFFECTS_OF, "freeze", broken)
    post(lifecycle_body("freeze"))
    kept = InboundWebhook.objects.get()
    for _attempt in range(effects.MAX_ATTEMPTS):
        InboundWebhook.objects.filter(state="failed").update(next_attempt_at=timezone.now())
        kept.refresh_from_db()
        effects.apply(webhook=kept)
    assert (kept.state, kept.attempts) == ("dead", effects.MAX_ATTEMPTS)
    assert effects.due(limit=9) == []


def test_a_webhook_kept_by_a_process_that_died_is_applied_by_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_active()
    with monkeypatch.context() as hook:
        hook.setattr(effects, "apply", lambda *, webhook: None)
        post(lifecycle_body("freeze"))
    assert effects.due(limit=9) == []
    InboundWebhook.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    (due,) = effects.due(limit=9)
    assert effects.apply(webhook=InboundWebhook.objects.get(pk=due)) == "applied"


def test_of_two_that_apply_one_webhook_at_once_one_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make_active()
    with monkeypatch.context() as hook:
        hook.setattr(effects, "apply", lambda *, webhook: None)
        post(lifecycle_body("freeze"))

    def one(_number: int) -> str:
        try:
            return effects.apply(webhook=InboundWebhook.objects.get())
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, range(4)))
    assert InboundWebhook.objects.get().attempts == 1
    assert events("frozen") == 1
