"""What lifecycle events do to a salon, and what becomes of an effect that fails."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from marketplace.models import Company, InboundWebhook
from marketplace.salons import lifecycle
from marketplace.webhooks import processing
from tests.environment import PARTNER_TOKEN
from tests.marketplace.salons_data import ALMATY, MOSCOW, make_active
from tests.marketplace.webhook_posts import events, lifecycle_body, post
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


def test_freeze_and_payment() -> None:
    company = make_active()
    for event, status in (
        ("freeze", "frozen"),
        ("payment", "active"),
        ("freeze", "frozen"),
        ("payment", "active"),
    ):
        assert post(lifecycle_body(event)).json()["status"] == "stored"
        company.refresh_from_db()
        assert company.status == status
        assert company.api_key
    assert Session.objects.get().wanted == "linked"
    assert (events("frozen"), events("unfrozen")) == (2, 2)


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
        hook.setitem(processing.CHANGES, "freeze", broken)
        assert post(lifecycle_body("freeze")).status_code == 200
    kept = InboundWebhook.objects.get()
    assert (kept.state, kept.attempts) == ("failed", 1)
    assert "Traceback" in kept.last_error
    assert PARTNER_TOKEN not in kept.last_error
    assert "79990000900" not in kept.last_error
    assert kept.next_attempt_at is not None
    processing.replay(webhook=kept)
    assert processing.apply(webhook=kept) == "applied"
    company.refresh_from_db()
    assert company.status == "frozen"


def test_an_effect_is_applied_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    make_active()

    def half(company: Company, *, by: str) -> bool:
        lifecycle.uninstall(company, by=by)
        return broken()

    monkeypatch.setitem(processing.CHANGES, "uninstall", half)
    post(lifecycle_body("uninstall"))
    company = Company.objects.get()
    assert (company.status, bool(company.api_key)) == ("active", True)
    assert events("uninstalled") == 0


def test_after_many_failures_a_webhook_is_dead_and_waits_for_a_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_active()
    monkeypatch.setitem(processing.CHANGES, "freeze", broken)
    post(lifecycle_body("freeze"))
    kept = InboundWebhook.objects.get()
    for _attempt in range(processing.WEBHOOKS.max_attempts):
        InboundWebhook.objects.filter(state="failed").update(next_attempt_at=timezone.now())
        kept.refresh_from_db()
        processing.apply(webhook=kept)
    assert (kept.state, kept.attempts) == ("dead", processing.WEBHOOKS.max_attempts)
    assert processing.LIFECYCLE.due(limit=9) == []


def test_a_webhook_kept_by_a_process_that_died_is_applied_by_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_active()
    with monkeypatch.context() as hook:
        hook.setattr(processing, "apply", lambda *, webhook: None)
        post(lifecycle_body("freeze"))
    assert processing.LIFECYCLE.due(limit=9) == []
    InboundWebhook.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    (due,) = processing.LIFECYCLE.due(limit=9)
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
