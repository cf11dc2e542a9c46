"""What lifecycle events do to a salon, and what becomes of an effect that fails."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from marketplace.models import Company, InboundWebhook
from marketplace.salons import lifecycle
from marketplace.webhooks import intake, processing
from tests.environment import PARTNER_TOKEN
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, ANDREY, MOSCOW, make_active
from tests.marketplace.webhook_posts import MOSCOW_WEBHOOK_URL, WEBHOOK_URL, events, lifecycle_body, post
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


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
    answers = [
        post(lifecycle_body("uninstall"), url)
        for url in (MOSCOW_WEBHOOK_URL, WEBHOOK_URL, MOSCOW_WEBHOOK_URL)
    ]
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
    from marketplace.salons.registration import start_registration

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
    assert processing.apply(webhook=waiting) == "applied"
    company.refresh_from_db()
    assert company.status == "uninstalled"


def test_messages_wait_while_every_salon_of_the_number_is_frozen() -> None:
    first = make_active()
    make_active(ALMATY, session=first.session)
    paused = []
    for event, salon in (("freeze", MOSCOW), ("freeze", ALMATY), ("payment", ALMATY)):
        post(lifecycle_body(event, salon_id=salon))
        paused.append(Session.objects.get().sending_paused)
    assert paused == [False, True, False]


def test_a_freeze_during_an_activation_is_applied_after_it() -> None:
    company = make_active(status="activating")
    assert post(lifecycle_body("freeze")).status_code == 200
    kept = InboundWebhook.objects.get()
    assert kept.state == "failed"
    Company.objects.update(status="active")
    InboundWebhook.objects.update(next_attempt_at=timezone.now())
    kept.refresh_from_db()
    processing.apply(webhook=kept)
    company.refresh_from_db()
    assert company.status == "frozen"


def broken(*_arguments: Any, **_more: Any) -> bool:
    raise ValueError(f"partner_token={PARTNER_TOKEN} of +79990000900")


def test_a_failed_effect_is_kept_with_its_traceback_and_can_be_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    company = make_active()
    with monkeypatch.context() as hook:
        hook.setitem(processing.EFFECTS_OF, "uninstall", broken)
        assert post(lifecycle_body("uninstall")).status_code == 200
    kept = InboundWebhook.objects.get()
    assert (kept.state, kept.attempts) == ("failed", 1)
    assert "Traceback" in kept.last_error
    assert PARTNER_TOKEN not in kept.last_error
    assert "79990000900" not in kept.last_error
    assert kept.next_attempt_at is not None
    intake.replay(webhook=kept)
    assert processing.apply(webhook=kept) == "applied"
    company.refresh_from_db()
    assert company.status == "uninstalled"


def test_an_effect_is_applied_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    make_active()

    def half(company: Company, *, by: str) -> bool:
        lifecycle.uninstall(company, by=by)
        return broken()

    monkeypatch.setitem(processing.EFFECTS_OF, "uninstall", half)
    post(lifecycle_body("uninstall"))
    company = Company.objects.get()
    assert (company.status, bool(company.api_key)) == ("active", True)
    assert events("uninstalled") == 0


def test_after_many_failures_a_webhook_is_dead_and_waits_for_a_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_active()
    monkeypatch.setitem(processing.EFFECTS_OF, "freeze", broken)
    post(lifecycle_body("freeze"))
    kept = InboundWebhook.objects.get()
    for _attempt in range(processing.MAX_ATTEMPTS):
        InboundWebhook.objects.filter(state="failed").update(next_attempt_at=timezone.now())
        kept.refresh_from_db()
        processing.apply(webhook=kept)
    assert (kept.state, kept.attempts) == ("dead", processing.MAX_ATTEMPTS)
    assert processing.due(limit=9) == []


def test_a_webhook_kept_by_a_process_that_died_is_applied_by_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_active()
    with monkeypatch.context() as hook:
        hook.setattr(processing, "apply", lambda *, webhook: None)
        post(lifecycle_body("freeze"))
    assert processing.due(limit=9) == []
    InboundWebhook.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    (due,) = processing.due(limit=9)
    assert processing.apply(webhook=InboundWebhook.objects.get(pk=due)) == "applied"


def test_of_two_that_apply_one_webhook_at_once_one_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make_active()
    with monkeypatch.context() as hook:
        hook.setattr(processing, "apply", lambda *, webhook: None)
        post(lifecycle_body("freeze"))

    def one(_number: int) -> str:
        try:
            return processing.apply(webhook=InboundWebhook.objects.get())
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, range(4)))
    assert InboundWebhook.objects.get().attempts == 1
    assert events("frozen") == 1
