"""One activation and one API key, whatever breaks on the way."""

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from marketplace.models import Company
from marketplace.salons import activation, activation_attempt
from marketplace.salons.activation_attempt import QUEUE, Attempt
from marketplace.salons.activation_errors import FOREIGN_KEY
from marketplace.salons.lifecycle import uninstall
from tests.marketplace.activations import Killed, activate, assert_active_once, events, forget_pause
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import MOSCOW
from whatsapp.crypto.encryption import lookup_digest
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


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
        activation_attempts=QUEUE.max_attempts,
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
    monkeypatch.setattr(activation_attempt, "PAUSES", (0.01, 0.01, 0.0))
    yclients.fault("500", endpoint="activation", until_lifted=True)
    with pytest.raises(activation.ActivationUnfinished):
        activate(connected)
    assert len(yclients.calls("callback_redirect")) == 3
    assert activation.due(limit=9) == []
    yclients.heal()
    forget_pause(connected)
    activate(connected)
    assert_active_once(connected, yclients)
