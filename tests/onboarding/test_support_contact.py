"""The support contact of the settings: where pages name support, as links that a tap opens."""

from typing import Any

import pytest
from django.test import Client

from tests.onboarding.test_states import PROVEN, STATES, picture
from tests.onboarding.visitors import Visitor


@pytest.fixture
def contact(settings: Any) -> None:
    settings.SUPPORT_PHONE = "+7 (800) 100-20-30"
    settings.SUPPORT_EMAIL = "help@example.com"
    settings.SUPPORT_URL = "https://help.example.com/whatsapp"


LINKS = (
    '<a href="tel:+78001002030">+7 (800) 100-20-30</a>',
    '<a href="mailto:help@example.com">help@example.com</a>',
    '<a href="https://help.example.com/whatsapp" target="_top" rel="noreferrer">',
)


def test_an_error_page_shows_each_way_to_support(contact: None) -> None:
    page = Client().get("/nowhere").content.decode()
    assert [link in page for link in LINKS] == [True] * 3


def test_without_a_contact_nothing_is_shown(settings: Any) -> None:
    settings.SUPPORT_PHONE = settings.SUPPORT_EMAIL = settings.SUPPORT_URL = ""
    assert "support" not in Client().get("/nowhere").content.decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPPORT_URL", "javascript:alert(1)"),
        ("SUPPORT_EMAIL", "help"),
        ("SUPPORT_EMAIL", "a@b?cc=x@y"),
        ("SUPPORT_PHONE", "call us"),
    ],
)
def test_a_setting_that_no_browser_can_open_is_not_shown(settings: Any, name: str, value: str) -> None:
    settings.SUPPORT_PHONE = settings.SUPPORT_EMAIL = settings.SUPPORT_URL = ""
    setattr(settings, name, value)
    page = Client().get("/nowhere").content.decode()
    assert 'class="support"' not in page
    assert value not in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", STATES)
def test_the_page_shows_the_contact_exactly_where_its_words_name_support(
    moscow: Visitor, pool: None, name: str
) -> None:
    moscow.pool_writes(**STATES[name])
    shown = picture(moscow, "en")
    assert shown["showSupport"] == ("support" in shown["message"].lower())


@pytest.mark.django_db(transaction=True)
def test_a_failed_activation_and_a_disputed_salon_show_it_too(moscow: Visitor, pool: None) -> None:
    from django.utils import timezone

    from marketplace.models import Company

    moscow.pool_writes(**PROVEN, status="connected", connected_at=timezone.now())
    moscow.becomes("activation_failed")
    shown = picture(moscow, "en")
    assert "support" in shown["activation"]["message"]
    assert shown["showSupport"]
    moscow.becomes("pending_whatsapp")
    assert not picture(moscow, "en")["showSupport"]
    Company.objects.update(disputed_at=timezone.now())
    shown = picture(moscow, "en")
    assert "support" in shown["message"]
    assert shown["showSupport"]


@pytest.mark.django_db(transaction=True)
def test_an_open_page_that_becomes_frozen_says_where_to_pay_and_is_told_once(
    moscow: Visitor, pool: None
) -> None:
    from onboarding.live import events

    moscow.becomes("frozen")
    shown = picture(moscow, "en")
    assert "Pay for it in YClients" in shown["activation"]["message"]
    assert shown["paymentUrl"].startswith("/auth/yclients/payment?salon=")
    assert shown["showSupport"]
    # The address is signed with the time, and is no news.
    assert not events.differ(shown, {**shown, "paymentUrl": "/auth/yclients/payment?salon=later"})
