"""One activation and one API key, whatever happens."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from marketplace import activation, attempt
from marketplace.activation_errors import FOREIGN_KEY, NOT_INSTALLING, REFUSED
from marketplace.attempt import MAX_ATTEMPTS, Attempt
from marketplace.lifecycle import uninstall
from marketplace.models import Company, MarketplaceEvent
from tests.marketplace.cast import MOSCOW, connect_phone
from tests.marketplace.outside import LocalYClients
from whatsapp.encryption import lookup_digest
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """The process ends here."""


def events(kind: str) -> int:
    return MarketplaceEvent.objects.filter(salon_id=MOSCOW, event_type=kind).count()


def activate(company: Company, wait: float = 0) -> activation.ActivationResult:
    return activation.activate(company=company, cause="test", wait=wait)


def assert_active_once(company: Company, yclients: LocalYClients) -> None:
    company.refresh_from_db()
    there = yclients.installation(MOSCOW)
    assert company.status == "active"
    assert there.api_keys == [company.api_key]
    assert there.activations == 1
    assert events("integration_activated") == 1
    assert events("activation_failed") == 0


def forget_pause(company: Company) -> None:
    """The time until the next attempt has passed."""
    Company.objects.filter(pk=company.pk).update(
        activation_next_at=timezone.now(), activation_claimed_until=None
    )


def test_a_connected_salon_becomes_active(connected: Company, yclients: LocalYClients) -> None:
    result = activate(connected)
    assert_active_once(connected, yclients)
    assert result.redirect_url == f"{yclients.url}/back?salon_id={MOSCOW}"
    assert result.yclients_response == {"status": 301}
    assert len(connected.api_key) == 64
    assert connected.api_key_digest == lookup_digest(connected.api_key)
    assert yclients.installation(MOSCOW).webhook_urls == [
        "http://testserver/webhook/yclients",
        f"http://testserver/webhook/yclients/{connected.webhook_secret}",
    ]


def test_the_key_is_stored_before_it_is_sent(
    connected: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_attempt: Attempt) -> None:
        raise Killed

    monkeypatch.setattr(Attempt, "_send", die)
    with pytest.raises(Killed):
        activate(connected)
    connected.refresh_from_db()
    assert (connected.status, len(connected.api_key)) == ("activating", 64)
    assert yclients.calls("callback_redirect") == []


def test_an_active_salon_is_answered_without_a_call(connected: Company, yclients: LocalYClients) -> None:
    first = activate(connected)
    before = len(yclients.calls())
    second = activate(connected)
    assert second.redirect_url == first.redirect_url
    assert len(yclients.calls()) == before
    assert_active_once(connected, yclients)


def test_without_a_phone_nothing_is_sent(registered: Company, yclients: LocalYClients) -> None:
    before = len(yclients.calls())
    with pytest.raises(activation.NotConnected):
        activate(registered)
    assert len(yclients.calls()) == before


@pytest.mark.parametrize("status", ["frozen", "uninstalled"])
def test_a_salon_that_waits_for_nothing_is_not_activated(connected: Company, status: str) -> None:
    Company.objects.update(status=status)
    with pytest.raises(activation.NotAwaiting):
        activate(connected)


def test_two_at_once_make_one_activation_and_both_learn_its_result(
    connected: Company, yclients: LocalYClients
) -> None:
    yclients.fault("slow", endpoint="activation", seconds=0.4)

    def one(_number: int) -> str:
        try:
            company = Company.objects.get(pk=connected.pk)
            return activate(company, wait=8).redirect_url
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(one, range(4)))
    assert set(answers) == {f"{yclients.url}/back?salon_id={MOSCOW}"}
    assert_active_once(connected, yclients)
    assert len(yclients.calls("callback_redirect")) == 1


def test_whoever_will_not_wait_is_told_that_it_runs(connected: Company) -> None:
    Company.objects.update(activation_claimed_until=timezone.now() + timedelta(seconds=20))
    with pytest.raises(activation.AlreadyRunning):
        activate(connected)


@pytest.mark.parametrize("kind", ["422", "403"])
def test_a_refusal_withdraws_the_key(connected: Company, yclients: LocalYClients, kind: str) -> None:
    yclients.fault(kind, endpoint="activation")
    with pytest.raises(activation.ActivationRefused):
        activate(connected)
    connected.refresh_from_db()
    assert (connected.status, connected.api_key, connected.api_key_digest) == ("activation_failed", "", None)
    assert connected.activation_error == REFUSED
    assert events("activation_failed") == 1
    assert activation.due(limit=9) == []


def test_after_a_refusal_a_person_may_try_again(connected: Company, yclients: LocalYClients) -> None:
    yclients.fault("422", endpoint="activation")
    with pytest.raises(activation.ActivationRefused):
        activate(connected)
    activate(connected)
    connected.refresh_from_db()
    assert connected.status == "active"
    assert yclients.installation(MOSCOW).api_keys == [connected.api_key]


def test_a_salon_that_cancelled_is_not_activated(connected: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "uninstall")
    with pytest.raises(activation.ActivationRefused) as refused:
        activate(connected)
    assert refused.value.message == NOT_INSTALLING
    assert yclients.calls("callback_redirect") == []


@pytest.mark.parametrize("kind", ["drop_after", "slow_answer", "500", "503", "drop_before", "429"])
def test_an_unclear_answer_still_ends_with_one_key(
    connected: Company, yclients: LocalYClients, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation, "CALL_PATIENCE", 1.0)
    yclients.fault(kind, endpoint="activation", seconds=2.0 if kind == "slow_answer" else 0.1)
    activate(connected)
    assert_active_once(connected, yclients)


def test_a_lost_answer_and_then_silence_is_settled_later_by_the_same_key(
    connected: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation, "CALL_PATIENCE", 1.0)
    ask = Attempt._ask

    def then_down(at_work: Attempt) -> Any:
        if at_work.sent_before:
            yclients.fault("down")
        return ask(at_work)

    yclients.fault("drop_after", endpoint="activation")
    with monkeypatch.context() as hook:
        hook.setattr(Attempt, "_ask", then_down)
        with pytest.raises(activation.ActivationUnfinished):
            activate(connected)
    yclients.heal()
    connected.refresh_from_db()
    key = connected.api_key
    assert (connected.status, bool(key)) == ("activating", True)
    assert connected.activation_next_at is not None
    forget_pause(connected)
    activate(connected)
    assert_active_once(connected, yclients)
    assert connected.api_key == key


STEPS = {
    "before the question": "_ask",
    "before the key": "_store_key",
    "before the call": "_send",
    "before the result": "_activated",
}


@pytest.mark.parametrize("step", list(STEPS))
def test_after_a_crash_at_any_step_it_goes_on_with_the_same_key(
    connected: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*_arguments: Any, **_more: Any) -> None:
        raise Killed

    with monkeypatch.context() as hook:
        hook.setattr(Attempt, STEPS[step], die)
        hook.setattr(Attempt, "release", lambda _attempt: None)  # a killed process lets nothing go
        with pytest.raises(Killed):
            activate(connected)
    connected.refresh_from_db()
    key = connected.api_key
    assert activation.due(limit=9) == []  # its claim still stands
    Company.objects.update(activation_claimed_until=timezone.now())
    assert activation.due(limit=9) == [connected.pk]
    activate(connected)
    assert_active_once(connected, yclients)
    assert key in ("", connected.api_key)


def test_a_key_that_yclients_has_but_we_do_not_know_is_said_honestly(
    connected: Company, yclients: LocalYClients
) -> None:
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=MOSCOW, api_key="of-another-system", webhook_urls=[], channels=["whatsapp"]
        )
    )
    with pytest.raises(activation.ActivationRefused) as refused:
        activate(connected)
    assert refused.value.message == FOREIGN_KEY
    connected.refresh_from_db()
    assert (connected.status, connected.api_key) == ("activation_failed", "")


def test_an_uninstall_during_the_call_wins(
    connected: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Attempt._send

    def removed_meanwhile(at_work: Attempt) -> Any:
        done = send(at_work)
        with transaction.atomic():
            uninstall(Company.objects.select_for_update().get(pk=connected.pk), by="test")
        return done

    monkeypatch.setattr(Attempt, "_send", removed_meanwhile)
    with pytest.raises(activation.NotAwaiting):
        activate(connected)
    connected.refresh_from_db()
    assert (connected.status, connected.api_key) == ("uninstalled", "")
    assert events("integration_activated") == 0


def test_a_begun_activation_ends_even_while_the_line_is_down(
    connected: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    yclients.fault("down")
    monkeypatch.setattr(activation, "CALL_PATIENCE", 0.5)
    with pytest.raises(activation.ActivationUnfinished):
        activate(connected)
    yclients.heal()
    Company.objects.update(
        status="activating", api_key="k1", api_key_digest=lookup_digest("k1"), activation_next_at=None
    )
    Session.objects.update(status="reconnecting")
    assert activation.due(limit=9) == [connected.pk]
    activate(connected)
    assert_active_once(connected, yclients)


def test_after_very_many_attempts_a_person_is_asked_and_the_key_is_kept(
    connected: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    Company.objects.update(
        status="activating",
        api_key="k1",
        api_key_digest=lookup_digest("k1"),
        activation_attempts=MAX_ATTEMPTS,
    )
    yclients.fault("down")
    monkeypatch.setattr(activation, "CALL_PATIENCE", 0.5)
    with pytest.raises(activation.ActivationRefused):
        activate(connected)
    connected.refresh_from_db()
    assert (connected.status, connected.api_key) == ("activation_failed", "k1")


@pytest.mark.parametrize("status", ["pending_whatsapp", "activation_failed", "activating"])
def test_a_key_that_was_taken_long_ago_is_found_out_without_another_call(
    connected: Company, yclients: LocalYClients, status: str
) -> None:
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=MOSCOW, api_key="k1", webhook_urls=[], channels=["whatsapp"]
        )
    )
    Company.objects.update(status=status, api_key="k1", api_key_digest=lookup_digest("k1"), key_offered=True)
    assert activate(connected).yclients_response == {"status": "active"}
    assert_active_once(connected, yclients)
    assert yclients.calls("callback_redirect") == []


def test_a_salon_frozen_before_its_answer_arrived_is_active_and_frozen(
    connected: Company, yclients: LocalYClients
) -> None:
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=MOSCOW, api_key="k1", webhook_urls=[], channels=["whatsapp"]
        )
    )
    yclients.change(MOSCOW, "freeze")
    Company.objects.update(
        status="activating", api_key="k1", api_key_digest=lookup_digest("k1"), key_offered=True
    )
    activate(connected)
    connected.refresh_from_db()
    assert (connected.status, connected.api_key) == ("frozen", "k1")
    assert (events("integration_activated"), events("frozen")) == (1, 1)


def test_a_broken_yclients_is_asked_a_few_times_and_then_left_in_peace(
    connected: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "PAUSES", (0.01, 0.01, 0.0))
    yclients.fault("500", endpoint="activation", until_lifted=True)
    with pytest.raises(activation.ActivationUnfinished):
        activate(connected)
    assert len(yclients.calls("callback_redirect")) == 3
    assert activation.due(limit=9) == []
    yclients.heal()
    forget_pause(connected)
    activate(connected)
    assert_active_once(connected, yclients)


def test_support_may_ask_for_another_try(connected: Company, yclients: LocalYClients) -> None:
    Company.objects.update(status="activation_failed", activation_attempts=7)
    connected.refresh_from_db()
    activation.request_retry(company=connected, cause="support")
    assert activation.due(limit=9) == [connected.pk]
    activate(connected)
    with pytest.raises(activation.NotAwaiting):
        activation.request_retry(company=connected, cause="support")
    assert_active_once(connected, yclients)


def test_salons_are_due_when_their_phone_connects(registered: Company) -> None:
    assert activation.due(limit=9) == []
    connect_phone(registered)
    assert activation.due(limit=9) == [registered.pk]
