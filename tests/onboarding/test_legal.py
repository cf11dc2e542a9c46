"""The pages on privacy and terms."""

import pytest
from django.test import Client


@pytest.mark.parametrize("path", ["/privacy", "/terms"])
@pytest.mark.parametrize(("language", "word"), [("ru", "салон"), ("en", "salon")])
def test_both_pages_exist_in_both_languages(path: str, language: str, word: str) -> None:
    answer = Client().get(f"{path}?lang={language}")
    page = answer.content.decode()
    assert (answer.status_code, answer["Content-Language"]) == (200, language)
    assert word in page


def test_they_name_who_provides_the_service_and_for_how_long_data_are_kept(settings: object) -> None:
    settings.LEGAL_NAME, settings.SUPPORT_EMAIL = "ООО «Пример»", "help@example.com"  # type: ignore[attr-defined]
    settings.RETENTION_MESSAGES_DAYS = 77  # type: ignore[attr-defined]
    settings.RETENTION_MEDIA_DAYS = 31  # type: ignore[attr-defined]
    page = Client().get("/privacy?lang=ru").content.decode()
    assert "ООО «Пример»" in page
    assert "help@example.com" in page
    assert "77" in page
    assert "31" in page


def test_they_ask_nothing_of_the_database() -> None:
    assert Client().get("/terms").status_code == 200  # no database mark: a query would fail the test
