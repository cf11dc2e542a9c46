"""The page speaks every language of the settings."""

import pytest
from django.conf import settings
from django.test import Client

from tests.onboarding.visitors import arrive

WORDS = {"ru": "Подключение WhatsApp", "en": "Linking WhatsApp", "es": "Vinculación de WhatsApp"}


@pytest.mark.django_db
@pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES])
def test_the_page_speaks_the_language_and_offers_the_others(language: str) -> None:
    visitor = arrive(307626, "Лотос")
    page = Client().get(f"/marketplace/onboarding?token={visitor.token}&lang={language}")
    text = page.content.decode()
    assert page["Content-Language"] == language
    assert f'<html lang="{language}">' in text
    assert WORDS[language] in text
    for code, _name in settings.LANGUAGES:
        assert f'data-language="{code}"' in text


def test_a_spanish_browser_gets_spanish_errors() -> None:
    page = Client().get("/marketplace/onboarding", headers={"Accept-Language": "es-MX,es;q=0.9"})
    assert "Abra esta página desde YClients" in page.content.decode()
