"""Calls to YClients over a real socket: every answer, and none."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from marketplace.yclients import rate_limit
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import Kind, YClientsError, retry_after, sentence_in
from tests.environment import PARTNER_TOKEN
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, MOSCOW

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "c0ffee" * 10


def activate(salon_id: int = MOSCOW, patience: float = 10.0) -> Any:
    with YClients(patience=patience) as yclients:
        return yclients.activate(salon_id=salon_id, api_key=KEY, webhook_urls=["http://testserver/w"])


def failure(act: Any) -> YClientsError:
    with pytest.raises(YClientsError) as raised:
        act()
    return raised.value


def test_a_company_is_read_with_its_details(yclients: LocalYClients) -> None:
    with YClients() as line:
        details = line.company(MOSCOW)
    assert set(details) == {"title", "phone", "email", "address", "timezone_name"}
    assert details["timezone_name"] == "Europe/Moscow"


def test_installations_are_named_as_yclients_names_them(yclients: LocalYClients) -> None:
    with YClients() as line:
        assert line.installation(MOSCOW).status == "absent"
        yclients.press_connect(MOSCOW)
        assert line.installation(MOSCOW).status == "pending"
        activate()
        assert line.installation(MOSCOW).status == "active"
        yclients.change(MOSCOW, "freeze")
        assert not line.installation(MOSCOW).wants_us


def test_a_redirect_is_success_and_is_not_followed(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    done = activate()
    assert (done.status, done.location) == (301, f"{yclients.url}/back?salon_id={MOSCOW}")
    assert [call.endpoint for call in yclients.calls()] == ["callback_redirect"]


def test_the_other_endpoint_names_the_channel(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_ACTIVATION_ENDPOINT = "callback"
    yclients.press_connect(MOSCOW)
    assert activate().status == 201
    assert set(yclients.installation(MOSCOW).channels) == {"whatsapp"}


@pytest.mark.parametrize(("kind", "status"), [("403", 403), ("422", 422)])
def test_a_refusal_is_permanent_and_is_not_repeated(yclients: LocalYClients, kind: str, status: int) -> None:
    yclients.press_connect(MOSCOW)
    yclients.fault(kind, endpoint="activation", until_lifted=True)
    error = failure(activate)
    assert (error.permanent, error.status, error.outcome_unknown) == (True, status, False)
    assert len(yclients.calls("callback_redirect")) == 1


def test_a_wrong_token_is_refused(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_PARTNER_TOKEN = "somebody-elses"
    error = failure(activate)
    assert (error.permanent, error.status) == (True, 401)


@pytest.mark.parametrize("kind", ["500", "503", "429", "drop_before", "drop_after"])
def test_a_question_is_asked_again_after_a_passing_failure(yclients: LocalYClients, kind: str) -> None:
    yclients.press_connect(MOSCOW)
    yclients.fault(kind, endpoint="install_status", seconds=0.05)
    with YClients() as line:
        assert line.installation(MOSCOW).status == "pending"
    assert len(yclients.calls("install_status")) == 2


@pytest.mark.parametrize("kind", ["500", "503", "drop_after"])
def test_an_activation_that_may_have_worked_is_not_repeated_here(yclients: LocalYClients, kind: str) -> None:
    yclients.press_connect(MOSCOW)
    yclients.fault(kind, endpoint="activation")
    error = failure(activate)
    assert (error.permanent, error.outcome_unknown) == (False, True)
    assert len(yclients.calls("callback_redirect")) == 1


def test_an_activation_that_was_only_put_off_is_repeated(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    yclients.fault("429", endpoint="activation", seconds=0.05)
    assert activate().status == 301


def test_a_retry_after_beyond_our_patience_is_not_waited_for(yclients: LocalYClients) -> None:
    yclients.fault("429", endpoint="install_status", seconds=600, until_lifted=True)
    with YClients(patience=2) as line:
        error = failure(lambda: line.installation(MOSCOW))
    assert (error.status, error.retry_after) == (429, 600)
    assert len(yclients.calls("install_status")) == 1


def test_a_slow_answer_leaves_the_outcome_unknown(yclients: LocalYClients) -> None:
    yclients.press_connect(MOSCOW)
    yclients.fault("slow_answer", endpoint="activation", seconds=5)
    error = failure(lambda: activate(patience=0.5))
    assert (error.kind, error.outcome_unknown) == (Kind.TIMEOUT, True)


def test_a_server_that_is_not_there_surely_did_nothing(settings: Any) -> None:
    settings.YCLIENTS_MARKETPLACE_URL = "http://127.0.0.1:9/marketplace"
    error = failure(lambda: activate(patience=20))
    assert (error.kind, error.outcome_unknown) == (Kind.NETWORK, False)


def test_without_a_partner_token_nothing_is_sent(yclients: LocalYClients, settings: Any) -> None:
    settings.YCLIENTS_PARTNER_TOKEN = ""
    assert failure(activate).kind is Kind.UNCONFIGURED
    assert yclients.calls() == []


def test_no_call_is_made_within_a_transaction(yclients: LocalYClients) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        activate()
    assert yclients.calls() == []


def test_secrets_stay_out_of_logs_and_errors(
    yclients: LocalYClients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    yclients.press_connect(MOSCOW)
    yclients.fault("drop_after", endpoint="activation")
    error = failure(activate)
    failure(lambda: activate(ALMATY))
    said = caplog.text + repr(error) + str(error) + repr(error.__cause__)
    assert PARTNER_TOKEN not in said
    assert KEY not in said


def test_a_sentence_of_yclients_is_shortened_and_cleared_of_secrets() -> None:
    message = f"key {KEY} of\x00\nBearer {PARTNER_TOKEN} " + "x" * 500
    sentence = sentence_in(json.dumps({"meta": {"message": message}}).encode(), (PARTNER_TOKEN, KEY))
    assert sentence.startswith("key [hidden] of Bearer [hidden] xxx")
    assert len(sentence) == 300
    assert sentence_in(b"<html>", ()) == sentence_in(b'{"meta": []}', ()) == ""


def test_all_threads_together_keep_within_the_limit_of_yclients(
    yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "SPACING", timedelta(seconds=0.31))
    yclients.enforce_limits()

    def ask(_number: int) -> str:
        with YClients() as line:
            return line.installation(MOSCOW).status

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(8))) == {"absent"}
    assert {call.status for call in yclients.calls()} == {404}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("", None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds
