"""Into the cabinet and out of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.urls import reverse

from marketplace.models import Company
from marketplace.salons import ownership
from onboarding.cabinet import sessions
from onboarding.linking import tokens
from tests.onboarding.cabinet.owners import owned_salon, signed_in

pytestmark = pytest.mark.django_db

ENTER, CONFIRM = "/cabinet/enter", "/cabinet/enter/confirm"
SAME_ORIGIN = {"HTTP_SEC_FETCH_SITE": "same-origin"}


def browser(**options: Any) -> Client:
    """A browser that says whose form it sends."""
    return Client(headers={"Sec-Fetch-Site": "same-origin"}, **options)


def token_for(company: Company, *others: Company, **claims: Any) -> str:
    claims.setdefault("holder", ownership.digest_of(ownership.owner_of(company)))
    return tokens.issue(company=company, companies=[company, *others], **claims)


def test_the_onboarding_pages_token_opens_the_cabinet_of_its_salon() -> None:
    client, salon = browser(), owned_salon()
    response = client.post(ENTER, {"token": token_for(salon)})
    assert (response.status_code, response["Location"]) == (303, f"/cabinet/{salon.salon_id}/")
    cookie = response.cookies[sessions.cookie_name()]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert client.get(response["Location"]).status_code == 200
    assert client.get("/cabinet/")["Location"] == f"/cabinet/{salon.salon_id}/"


def test_the_cookie_keeps_to_its_host_where_cookies_are_secure(settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = True
    response = browser().post(ENTER, {"token": token_for(owned_salon())})
    assert response.cookies["__Host-cabinet"]["secure"]
    assert response.cookies["__Host-cabinet"]["path"] == "/"
    assert response.cookies["__Host-cabinet"]["domain"] == ""


def test_entering_gives_a_new_key_and_ends_the_old_session() -> None:
    salon = owned_salon()
    client = signed_in([salon], **SAME_ORIGIN)
    old = client.cookies[sessions.cookie_name()].value
    client.post(ENTER, {"token": token_for(salon)})
    assert client.cookies[sessions.cookie_name()].value != old
    client.cookies[sessions.cookie_name()] = old
    assert client.get(f"/cabinet/{salon.salon_id}/")["Location"] == "/cabinet/"


def test_a_planted_key_does_not_become_a_session() -> None:
    planted, salon = "a" * 32, owned_salon()
    client = browser()
    client.cookies[sessions.cookie_name()] = planted
    client.post(ENTER, {"token": token_for(salon)})
    assert client.cookies[sessions.cookie_name()].value != planted


def test_a_token_opens_one_session() -> None:
    salon = owned_salon()
    token = token_for(salon)
    owner = browser()
    owner.post(ENTER, {"token": token})
    assert owner.post(ENTER, {"token": token})["Location"] == f"/cabinet/{salon.salon_id}/"
    thief = browser().post(ENTER, {"token": token})
    assert thief.status_code == 403
    assert sessions.cookie_name() not in thief.cookies


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 9000])
def test_a_forged_token_opens_nothing(token: str) -> None:
    assert browser().post(ENTER, {"token": token}).status_code == 401


def test_a_token_of_a_former_owner_opens_nothing() -> None:
    salon = owned_salon()
    token = token_for(salon)
    Company.objects.update(marketplace_user_id="2")
    assert browser().post(ENTER, {"token": token}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}, {"Origin": "https://evil.example"}],
)
def test_another_site_cannot_sign_its_visitor_in(headers: dict[str, str]) -> None:
    response = Client().post(ENTER, {"token": token_for(owned_salon())}, headers=headers)
    assert response.status_code == 403
    assert sessions.cookie_name() not in response.cookies


@pytest.mark.parametrize("headers", [{"Origin": "null"}, {}])
def test_a_form_of_which_the_browser_does_not_say_whose_it_is_signs_nobody_in(
    headers: dict[str, str],
) -> None:
    salon = owned_salon(title="Ножницы")
    token = token_for(salon)
    victim = Client(enforce_csrf_checks=True, headers=headers)
    shown = victim.post(ENTER, {"token": token})
    assert (shown.status_code, "Ножницы" in shown.content.decode()) == (200, True)
    assert "frame-ancestors 'none'" in shown["Content-Security-Policy"]
    assert victim.post(CONFIRM, {"token": token}).status_code == 403  # nor does a form to where it leads
    assert sessions.cookie_name() not in victim.cookies
    assert victim.get(f"/cabinet/{salon.salon_id}/")["Location"] == "/cabinet/"


def test_the_owner_of_an_old_phone_presses_once_more() -> None:
    salon = owned_salon()
    phone = Client(enforce_csrf_checks=True)
    shown = phone.post(ENTER, {"token": token_for(salon)}, headers={"Origin": "null"}).content.decode()
    form = dict(re.findall(r'name="(\w+)" value="([^"]+)"', shown))
    assert set(form) >= {"csrfmiddlewaretoken", "token"}
    opened = phone.post(CONFIRM, form, headers={"Origin": "http://testserver"})
    assert (opened.status_code, opened["Location"]) == (303, f"/cabinet/{salon.salon_id}/")
    assert phone.get(opened["Location"]).status_code == 200
    again = Client(enforce_csrf_checks=False).post(CONFIRM, {"token": form["token"]})
    assert again.status_code == 403  # a token opens one session


@pytest.mark.parametrize("token", ["", "a.b.c"])
def test_a_forged_token_is_not_even_asked_about(token: str) -> None:
    for address in (ENTER, CONFIRM):
        assert Client().post(address, {"token": token}).status_code == 401


def test_leaving_ends_the_session_for_copies_of_the_cookie_too() -> None:
    salon = owned_salon()
    client, copy = signed_in([salon]), Client()
    copy.cookies[sessions.cookie_name()] = client.cookies[sessions.cookie_name()].value
    client.post("/cabinet/leave")
    assert copy.get(f"/cabinet/{salon.salon_id}/")["Location"] == "/cabinet/"


def test_a_staff_session_is_no_cabinet_session_nor_the_other_way_round() -> None:
    staff = SessionStore()
    staff.update({"began": 1e12, "seen": 1e12, "salons": [307626], "holder": "", "access_request": None})
    staff.create()
    salon = owned_salon()
    client = Client()
    client.cookies[sessions.cookie_name()] = str(staff.session_key)
    assert client.get(f"/cabinet/{salon.salon_id}/")["Location"] == "/cabinet/"
    ours = signed_in([salon]).cookies[sessions.cookie_name()].value
    assert SessionStore(ours).is_empty() or not SessionStore(ours).load()


def test_branches_of_one_owner_are_listed_and_switched_between() -> None:
    one, two = owned_salon(title="Одна"), owned_salon(412870, phone="79990002233", title="Две")
    client = signed_in([one], **SAME_ORIGIN)
    client.post(ENTER, {"token": token_for(two)})
    assert client.get("/cabinet/").content.decode().count("/cabinet/") >= 2
    page = client.get(f"/cabinet/{one.salon_id}/").content.decode()
    assert reverse("cabinet-home", args=[two.salon_id]) in page


def test_the_language_asked_for_is_remembered() -> None:
    salon = owned_salon()
    client = signed_in([salon], **SAME_ORIGIN)
    assert 'lang="ru"' in client.get(f"/cabinet/{salon.salon_id}/?lang=ru").content.decode()
    assert 'lang="ru"' in client.get(f"/cabinet/{salon.salon_id}/messages").content.decode()
    client.post(ENTER, {"token": token_for(salon)})  # a new session of the same browser
    assert 'lang="ru"' in client.get(f"/cabinet/{salon.salon_id}/").content.decode()
