"""The onboarding page and the error pages: status, words, headers, and that no token leaks."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from django.test import Client

from marketplace.models import Company
from tests.onboarding.visitors import Visitor, forgeries

pytestmark = pytest.mark.django_db(transaction=True)


def open_page(token: str | None, **headers: str) -> Any:
    query = {} if token is None else {"token": token}
    return Client().get("/marketplace/onboarding", query, headers=headers)


def start_of(response: Any) -> dict[str, Any]:
    found = re.search(r'<script id="start" type="application/json">(.*?)</script>', response.content.decode())
    assert found
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def test_the_page_holds_what_its_script_needs(moscow: Visitor) -> None:
    response = open_page(moscow.token)
    assert response.status_code == 200
    start = start_of(response)
    assert start["token"] == moscow.token
    assert start["picture"]["session_id"] == "company_307626"
    assert "Барбершоп на Тверской" in response.content.decode()


def test_opening_the_page_names_salon_and_owner_and_starts_no_codes(moscow: Visitor) -> None:
    Company.objects.update(marketplace_user_name="Андрей <Иванов>")
    page = open_page(moscow.token).content.decode()
    assert "Андрей &lt;Иванов&gt; открыл" in page
    assert 'id="confirm"' in page
    session = moscow.session
    assert session.wanted == "stopped"
    assert session.pairing_requested_at is None


@pytest.mark.parametrize(
    ("phone", "zone", "code"),
    [
        ("74951234567", "", "+7 9"),
        ("77272501234", "", "+7 7"),
        ("", "Europe/Berlin", "+49 1"),
        ("", "", "+7 9"),
    ],
)
def test_the_example_number_is_one_of_the_salons_country(
    moscow: Visitor, phone: str, zone: str, code: str
) -> None:
    Company.objects.update(phone=phone, timezone_name=zone)
    assert f'placeholder="{code}' in open_page(moscow.token).content.decode()


@pytest.mark.parametrize("status", ["uninstalled", "frozen"])
def test_a_salon_without_the_application_gets_no_codes(moscow: Visitor, status: str) -> None:
    moscow.becomes(status)
    assert open_page(moscow.token).status_code == 200
    assert moscow.session.wanted == "stopped"


def test_a_title_cannot_break_out_of_the_page(moscow: Visitor) -> None:
    moscow.company.title = "</script><script>alert(1)</script>"
    moscow.company.save()
    assert "<script>alert" not in open_page(moscow.token).content.decode()


def test_without_a_token_it_says_where_to_come_from() -> None:
    response = open_page(None)
    assert response.status_code == 400
    assert "Откройте эту страницу из YClients" in response.content.decode()


def test_a_forged_token_opens_nothing(moscow: Visitor) -> None:
    for kind, token in forgeries(moscow).items():
        if kind == "missing":
            continue
        response = open_page(token)
        assert response.status_code == 401, kind
        assert "Недействительный токен" in response.content.decode()
        assert token not in response.content.decode()


def test_a_token_from_before_the_uninstall_stays_dead(moscow: Visitor) -> None:
    from tests.onboarding.visitors import after

    moscow.becomes("pending_whatsapp", uninstalled_at=after(2))
    assert open_page(moscow.token).status_code == 401
    assert moscow.status().status_code == 401


def test_nothing_foreign_is_loaded_and_only_the_marketplaces_frame_it(moscow: Visitor) -> None:
    response = open_page(moscow.token)
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' ws://testserver"
    assert policy["frame-ancestors"].split() == [
        "https://yclients.com",
        "https://*.yclients.com",
        "https://alteg.io",
        "https://*.alteg.io",
    ]
    assert "X-Frame-Options" not in response
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]
    loaded = re.findall(r'(?:src|href)="([^"#][^"]*)"', response.content.decode())
    assert loaded
    assert all(address.startswith("/static/onboarding/") for address in loaded)
    assert "set-cookie" not in {name.lower() for name in response.headers}


def test_the_token_is_not_logged(moscow: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    open_page(moscow.token)
    moscow.status()
    moscow.post("/marketplace/activate", {"token": moscow.token})
    assert moscow.token not in caplog.text
    assert moscow.token.rsplit(".", 1)[1] not in caplog.text


@pytest.mark.parametrize(
    ("query", "accept", "words"),
    [
        ({}, "", "Подключение WhatsApp"),
        ({}, "de,en;q=0.8", "Linking WhatsApp"),
        ({"lang": "en"}, "ru", "Linking WhatsApp"),
        ({"lang": "ru"}, "en", "Подключение WhatsApp"),
        ({"lang": "../../etc"}, "ru", "Подключение WhatsApp"),
    ],
)
def test_the_language_is_asked_for_or_the_browsers(
    moscow: Visitor, query: dict[str, str], accept: str, words: str
) -> None:
    response = Client().get(
        "/marketplace/onboarding", {"token": moscow.token, **query}, headers={"Accept-Language": accept}
    )
    assert words in response.content.decode()
    assert response["Content-Language"] in ("ru", "en")


def test_unknown_addresses_have_a_page_for_people_and_json_for_programs() -> None:
    page = Client().get("/nowhere")
    assert page.status_code == 404
    assert "Такой страницы нет" in page.content.decode()
    answer = Client().get("/marketplace/api/nowhere")
    assert answer.status_code == 404
    assert answer.json()["success"] is False
    assert answer.json()["code"] == "not_found"


def test_a_fault_has_a_page(rf: Any) -> None:
    from onboarding import error_views

    page = error_views.server_error(rf.get("/marketplace/onboarding"))
    assert page.status_code == 500
    assert "У нас что-то сломалось" in page.content.decode()
    answer = error_views.server_error(rf.get("/webhook/yclients"))
    assert json.loads(answer.content)["code"] == "server_error"
