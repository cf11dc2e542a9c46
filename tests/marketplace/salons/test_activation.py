"""One activation and one API key, whoever asks and however often."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from marketplace.models import Company
from marketplace.salons import activation
from marketplace.salons.activation_attempt import Attempt
from marketplace.salons.activation_errors import NOT_INSTALLING, REFUSED
from tests.marketplace.activations import Killed, activate, assert_active_once, events
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import MOSCOW, connect_phone
from whatsapp.crypto.encryption import lookup_digest

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_connected_salon_becomes_active(connected: Company, yclients: LocalYClients) -> None:
    result = activate(connected)
    assert_active_once(connected, yclients)
    assert result.redirect_url == f"{yclients.url}/back?salon_id={MOSCOW}"
    assert result.yclients_response == {"status": 301}
    assert len(connected.api_key) == 64
    assert connected.api_key_digest == lookup_digest(connected.api_key)
    assert yclients.installation(MOSCOW).webhook_urls == [
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
            return activate(company, wait=60).redirect_url
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
