"""The page's HTTP API."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from marketplace.models import Company, MarketplaceEvent
from marketplace.salons import activation
from onboarding.api import codes
from onboarding.api import views as api
from onboarding.api.errors import ApiError
from onboarding.linking.token_scope import TokenScope
from tests.onboarding.visitors import PHONE, Visitor, forgeries

pytestmark = pytest.mark.django_db(transaction=True)

QR, CODE, ACTIVATE = "/marketplace/api/qr", "/marketplace/api/pairing-code", "/marketplace/activate"


@pytest.fixture
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "PATIENCE", 0.3)


def refused(response: Any, status: int, code: str) -> Any:
    """Assert the one shape of errors, and return the body."""
    assert response.status_code == status, response.content
    body = response.json()
    assert body["success"] is False
    assert body["code"] == code
    assert body["error"]
    assert response["Cache-Control"] == "no-store"
    return body


# --- status ---


def test_status_shows_the_qr(moscow: Visitor, pool: None) -> None:
    text = moscow.shows_qr()
    body = moscow.status().json()
    assert body["success"] is True
    assert (body["status"], body["connected"], body["hasQR"], body["hasPairingCode"]) == (
        "qr",
        False,
        True,
        False,
    )
    assert body["session_id"] == "company_307626"
    assert body["qr"] == text
    assert 55 <= body["qrExpiresIn"] <= 60
    assert (body["companyId"], body["salonId"]) == (moscow.company.pk, 307626)
    assert body["activation"] == {
        "status": "waiting",
        "message": "Активация начнётся сама, когда WhatsApp будет связан.",
        "redirectUrl": None,
    }


def test_a_look_before_the_confirmation_starts_no_codes(moscow: Visitor) -> None:
    path = f"/marketplace/api/status/company_{moscow.company.salon_id}"
    assert Client().get(path, {"viewed": "0"}, headers=moscow.bearer).status_code == 200
    assert moscow.session.wanted == "stopped"
    assert moscow.status().status_code == 200
    assert moscow.session.wanted == "linked"


def test_status_forgets_a_code_that_ran_out(moscow: Visitor) -> None:
    moscow.shows_qr(seconds=-1)
    body = moscow.status().json()
    assert (body["hasQR"], body["qr"], body["qrExpiresIn"]) == (False, None, 0)


def test_status_shows_the_connected_phone_and_the_end(moscow: Visitor) -> None:
    moscow.phone_scans()
    moscow.becomes("active", redirect_url="https://yclients.com/done")
    body = moscow.status().json()
    assert body["connected"] is True
    assert (body["phoneNumber"], body["phoneFormatted"]) == ("7999*****00", "+7 999 ***-**-00")
    assert body["activation"]["status"] == "active"
    assert body["activation"]["redirectUrl"] == "https://yclients.com/done"


def test_a_redirect_address_that_is_no_web_address_is_not_shown(moscow: Visitor) -> None:
    moscow.phone_scans()
    moscow.becomes("active", redirect_url="javascript:alert(1)")
    assert moscow.status().json()["activation"]["redirectUrl"] is None


def test_status_of_another_salon_is_not_found(moscow: Visitor, kazan: Visitor) -> None:
    refused(moscow.status(kazan.company.salon_id), 404, "not_found")
    response = Client().get("/marketplace/api/status/company_x", headers=moscow.bearer)
    refused(response, 404, "not_found")


@pytest.mark.parametrize("path", ["/marketplace/api/status/company_307626", QR, CODE])
def test_a_forged_token_gets_nothing(moscow: Visitor, path: str) -> None:
    for kind, token in forgeries(moscow).items():
        headers = {"Authorization": f"Bearer {token}"}
        if "status" in path:
            response: Any = Client().get(path, headers=headers)
        else:
            response = moscow.post(path, {"phoneNumber": PHONE}, headers=headers)
        expected = 404 if kind == "another's salon" and "status" in path else 401
        assert response.status_code == expected, kind
        assert response.json()["success"] is False


def test_a_token_without_its_scheme_or_in_the_query_is_no_token(moscow: Visitor) -> None:
    path = "/marketplace/api/status/company_307626"
    response = Client().get(path, headers={"Authorization": moscow.token})
    assert refused(response, 401, "invalid_token")
    assert response["WWW-Authenticate"] == "Bearer"
    refused(Client().get(path, {"token": moscow.token}), 401, "invalid_token")


def test_an_uninstalled_salon_may_look_and_nothing_else(moscow: Visitor, pool: None) -> None:
    moscow.becomes("uninstalled")
    assert moscow.status().json()["companyStatus"] == "uninstalled"
    refused(moscow.post(QR), 401, "no_power")
    refused(moscow.post(CODE, {"phoneNumber": PHONE}), 401, "no_power")
    refused(moscow.post(ACTIVATE, {"token": moscow.token}), 401, "no_power")


# --- bodies ---


@pytest.mark.parametrize("path", [QR, CODE, ACTIVATE])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("{", "application/json", 400, "bad_json"),
        ("[1]", "application/json", 400, "bad_json"),
        ('"text"', "application/json", 400, "bad_json"),
        ("[" * 30000, "application/json", 400, "bad_json"),
        (b"\xff\xfe{}", "application/json", 400, "bad_json"),
        ("phoneNumber=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ('{"a": "' + "x" * 70000 + '"}', "application/json", 413, "too_large"),
    ],
)
def test_a_bad_body_is_refused_in_words(
    moscow: Visitor, path: str, body: Any, content_type: str, status: int, code: str
) -> None:
    refused(moscow.post(path, body, content_type=content_type), status, code)


def test_other_methods_are_refused_in_the_same_shape(moscow: Visitor) -> None:
    for path in (QR, CODE, ACTIVATE):
        response = Client().get(path, headers=moscow.bearer)
        refused(response, 405, "method_not_allowed")
        assert response["Allow"] == "POST"
    refused(moscow.post("/marketplace/api/status/company_307626"), 405, "method_not_allowed")


# --- QR ---


def test_qr_returns_the_code_that_is_there(moscow: Visitor, pool: None) -> None:
    text = moscow.shows_qr()
    body = moscow.post(QR).json()
    assert body == {
        "success": True,
        "qr": text,
        "session_id": "company_307626",
        "expires_in": body["expires_in"],
    }
    assert 55 <= body["expires_in"] <= 60


def test_qr_waits_for_a_code(moscow: Visitor, pool: None) -> None:
    answers = in_background(lambda: moscow.post(QR))
    wait_until(lambda: moscow.session.pairing_requested_at is not None)
    text = moscow.shows_qr()
    assert answers().json()["qr"] == text


def test_a_renewed_qr_is_another_one(moscow: Visitor, pool: None) -> None:
    moscow.shows_qr(1)
    answers = in_background(lambda: moscow.post(QR, {"renew": True}))
    wait_until(lambda: moscow.session.pairing_requested_at is not None)
    text = moscow.shows_qr(2)
    assert answers().json()["qr"] == text


def test_qr_without_a_pool_says_when_to_come_back(moscow: Visitor) -> None:
    response = moscow.post(QR)
    body = refused(response, 503, "pool_unavailable")
    assert body["retry_after"] == int(response["Retry-After"]) > 0


@pytest.mark.usefixtures("_short_patience")
def test_qr_that_never_comes_is_said_too(moscow: Visitor, pool: None) -> None:
    refused(moscow.post(QR), 429, "too_soon")  # opening asked already, and nothing came
    moscow.pool_writes(pairing_requested_at=timezone.now() - timedelta(minutes=1))
    refused(moscow.post(QR), 503, "no_code_yet")


def test_qr_of_a_linked_salon_is_refused(moscow: Visitor, pool: None) -> None:
    moscow.phone_scans()
    refused(moscow.post(QR), 409, "already_linked")
    refused(moscow.post(CODE, {"phoneNumber": PHONE}), 409, "already_linked")


# --- pairing code ---


def test_a_pairing_code_comes_for_a_phone_in_any_spelling(moscow: Visitor, pool: None) -> None:
    answers = in_background(lambda: moscow.post(CODE, {"phoneNumber": "8 (999) 000-09-00"}))
    wait_until(lambda: moscow.session.pairing_phone == PHONE)
    moscow.shows_code()
    body = answers().json()
    assert body["success"] is True
    assert body["code"] == "6R4J-8Q3R"
    assert 45 <= body["expires_in"] <= 50


@pytest.mark.parametrize(
    ("salon", "typed", "digits"),
    [
        ({"phone": "77272501234"}, "8 701 123 45 67", "77011234567"),
        ({"phone": "", "timezone_name": "Asia/Almaty"}, "701 123 45 67", "77011234567"),
        ({"phone": "493012345678"}, "0151 23456789", "4915123456789"),
        ({"phone": "", "timezone_name": "Europe/Berlin"}, "0151 23456789", "4915123456789"),
        ({"phone": "493012345678"}, "+7 999 000-09-00", PHONE),
        ({"phone": "74951234567"}, "8 (999) 000-09-00", PHONE),
        ({"phone": "", "timezone_name": ""}, "999 000 09 00", PHONE),
    ],
)
def test_a_number_without_a_country_code_is_read_as_of_the_salon(
    moscow: Visitor, pool: None, salon: dict[str, str], typed: str, digits: str
) -> None:
    Company.objects.filter(pk=moscow.company.pk).update(**salon)
    answers = in_background(lambda: moscow.post(CODE, {"phoneNumber": typed}))
    wait_until(lambda: moscow.session.pairing_phone == digits)
    moscow.pool_writes(
        pairing_code="6R4J-8Q3R", pairing_code_expires_at=timezone.now() + timedelta(seconds=50)
    )
    assert answers().json()["code"] == "6R4J-8Q3R"


@pytest.mark.parametrize(
    "body",
    [{}, {"phoneNumber": ""}, {"phoneNumber": "abc"}, {"phoneNumber": "12"}, {"phoneNumber": None},
     {"phoneNumber": ["7"]}, {"phoneNumber": True}, {"phoneNumber": "7" * 300}, {"phoneNumber": "79\x0099"}],
)  # fmt: skip
def test_what_is_no_phone_is_refused(moscow: Visitor, pool: None, body: dict[str, Any]) -> None:
    refused(moscow.post(CODE, body), 400, "invalid_phone")


def test_a_second_phone_at_once_is_too_soon(moscow: Visitor, pool: None) -> None:
    moscow.shows_code()
    moscow.pool_writes(pairing_requested_at=timezone.now())
    response = moscow.post(CODE, {"phoneNumber": "+7 999 111-22-33"})
    assert refused(response, 429, "too_soon")["retry_after"] == int(response["Retry-After"])


def test_the_same_phone_again_gets_the_code_that_is_there(moscow: Visitor, pool: None) -> None:
    moscow.shows_code()
    assert moscow.post(CODE, {"phoneNumber": PHONE}).json()["code"] == "6R4J-8Q3R"


def test_whatsapps_refusal_of_a_phone_is_passed_on(moscow: Visitor, pool: None) -> None:
    answers = in_background(lambda: moscow.post(CODE, {"phoneNumber": PHONE}))
    wait_until(lambda: moscow.session.pairing_phone == PHONE)
    moscow.pool_writes(pairing_error="rate_limited")
    refused(answers(), 502, "rate_limited")


def test_a_pairing_code_needs_a_pool(moscow: Visitor) -> None:
    refused(moscow.post(CODE, {"phoneNumber": PHONE}), 503, "pool_unavailable")


# --- activation ---


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": None}])
def test_activation_wants_a_token(moscow: Visitor, body: dict[str, Any]) -> None:
    response = Client().post(ACTIVATE, body, content_type="application/json")
    assert refused(response, 400, "token_required")["error"] == "Token required"


def test_activation_refuses_forged_tokens(moscow: Visitor) -> None:
    for kind, token in forgeries(moscow).items():
        response = Client().post(ACTIVATE, {"token": token}, content_type="application/json")
        gone = kind in ("missing", "a company that is not", "another's salon")
        assert response.status_code == (400 if gone else 401), kind
    refused(Client().post(ACTIVATE, {"token": 5}, content_type="application/json"), 401, "invalid_token")


def test_activation_without_a_registration_is_refused(moscow: Visitor) -> None:
    MarketplaceEvent.objects.all().delete()
    body = refused(moscow.post(ACTIVATE, {"token": moscow.token}), 400, "registration_not_found")
    assert body["error"] == "Registration not found"


def test_an_old_registration_has_run_out(moscow: Visitor) -> None:
    MarketplaceEvent.objects.update(created_at=timezone.now() - timedelta(minutes=67, seconds=30))
    body = refused(moscow.post(ACTIVATE, {"token": moscow.token}), 400, "registration_expired")
    assert body["expired_minutes_ago"] == 7


def test_activation_before_the_phone_is_refused(moscow: Visitor) -> None:
    refused(moscow.post(ACTIVATE, {"token": moscow.token}), 409, "not_connected")


def test_an_active_salon_is_told_so(moscow: Visitor) -> None:
    moscow.phone_scans()
    moscow.becomes("active", redirect_url="https://yclients.com/done")
    body = moscow.post(ACTIVATE, {"token": moscow.token}).json()
    assert body == {
        "success": True,
        "message": "Интеграция активна.",
        "company_id": moscow.company.pk,
        "salon_id": 307626,
        "yclients_response": {"status": "active"},
        "redirect_url": "https://yclients.com/done",
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (activation.AlreadyRunning, 409, "activation_running"),
        (activation.NotAwaiting, 409, "not_awaiting"),
        (activation.ActivationRefused, 502, "activation_refused"),
        (activation.ActivationUnfinished, 502, "activation_unfinished"),
    ],
)
def test_why_it_was_not_activated(
    moscow: Visitor, monkeypatch: pytest.MonkeyPatch, error: Any, status: int, code: str
) -> None:
    def fail(**_arguments: Any) -> None:
        raise error("YClients refused the activation.")

    monkeypatch.setattr(activation, "activate", fail)
    body = refused(moscow.post(ACTIVATE, {"token": moscow.token}), status, code)
    assert body["error"] == "YClients отклонил активацию."


def test_a_page_activates_its_first_salon_and_leaves_failed_others_to_the_worker(
    moscow: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onboarding.linking import tokens
    from tests.onboarding.visitors import arrive

    branch = arrive(99, "Второй филиал")
    Company.objects.filter(pk=branch.company.pk).update(session=moscow.session, status="activation_failed")
    asked = []

    def note(*, company: Company, cause: str) -> activation.ActivationResult:
        asked.append((company.salon_id, cause))
        return activation.ActivationResult(company, "https://yclients.com/ok", {})

    monkeypatch.setattr(activation, "activate", note)
    token = tokens.issue(company=moscow.company, companies=[moscow.company, branch.company])
    assert moscow.post(ACTIVATE, {"token": token}).json()["salon_id"] == 307626
    assert asked == [(307626, "page")]
    branch.company.refresh_from_db()
    assert branch.company.status == "pending_whatsapp"


def test_a_page_does_not_wait_for_a_slow_activation_which_goes_on(
    moscow: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, ended = threading.Event(), threading.Event()

    def slow(**_arguments: Any) -> None:
        let_go.wait(30)
        ended.set()
        raise activation.NotAwaiting("over")

    monkeypatch.setattr(activation, "activate", slow)
    monkeypatch.setattr(api, "ACTIVATION_PATIENCE", 0.1)
    refused(moscow.post(ACTIVATE, {"token": moscow.token}), 409, "activation_running")
    let_go.set()
    assert ended.wait(30)


@pytest.mark.parametrize(
    ("error", "logged"), [(activation.NotAwaiting("over"), False), (RuntimeError("a fault"), True)]
)
async def test_what_went_wrong_when_no_page_waits_any_more_is_logged_unless_the_row_says_it(
    error: Exception, logged: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_go = threading.Event()
    unnoticed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unnoticed.append(context))

    def fail(_scope: Any) -> None:
        let_go.wait(30)
        raise error

    monkeypatch.setattr(api, "_activate_all", fail)
    monkeypatch.setattr(api, "ACTIVATION_PATIENCE", 0.05)
    with pytest.raises(ApiError):
        await api._result(TokenScope.__new__(TokenScope))
    let_go.set()
    await asyncio.wait(set(api._running))
    await asyncio.sleep(0)  # what was asked for at its end
    gc.collect()
    assert ("activation failed" in caplog.text) is logged
    assert unnoticed == []


# --- waiting ---


def in_background(act: Any) -> Any:
    """Run a request in a thread of its own; call the result to have its answer."""
    answers: list[Any] = []

    def work() -> None:
        from django.db import connection

        asyncio.set_event_loop(asyncio.new_event_loop())
        answers.append(act())
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()

    def answer() -> Any:
        thread.join(30)
        return answers[0]

    return answer


def wait_until(condition: Any) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)
