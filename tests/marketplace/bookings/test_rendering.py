"""Templates: what may stand in them, and what comes out."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from marketplace.bookings import texts, wording
from marketplace.bookings.visits import Visit
from marketplace.models import Company, rendering
from marketplace.models.booking_kinds import Kind, Language

VALUES = {
    "client": "Иван",
    "date": "13 июля (воскресенье)",
    "time": "12:10",
    "services": "Стрижка",
    "staff": "Анна",
    "salon": "Лотос",
    "address": "",
    "phone": "",
}


@pytest.mark.parametrize(
    "template",
    [
        "{unknown}", "{}", "{0}", "{client.__class__}", "{client[0]}", "{client!r}", "{client:>10}",
        "{client:{time}}", "{ client }", "open {", "close }", "{client", "", " \n ", "{cli\nent}",
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_filled_in_is_refused(template: str) -> None:
    with pytest.raises(rendering.BadTemplate):
        rendering.check(template)


def test_braces_can_be_written() -> None:
    assert rendering.render("{{{client}}} {{}}", VALUES) == "{Иван} {}"


def test_a_line_of_which_nothing_is_known_is_left_out() -> None:
    template = "Адрес: {address}\nДата: {date}{address}\n\nТелефон: {phone}"
    assert rendering.render(template, VALUES) == "Дата: 13 июля (воскресенье)"


def test_values_are_not_read_as_templates() -> None:
    assert rendering.render("{client}", {**VALUES, "client": "{salon} {0.__class__}"}) == (
        "{salon} {0.__class__}"
    )


@pytest.mark.parametrize("language", Language.values)
@pytest.mark.parametrize("kind", Kind.values)
def test_every_default_can_be_filled_in(kind: str, language: str) -> None:
    text = rendering.render(texts.DEFAULTS[language][kind], VALUES)
    assert "Иван" in text
    assert "{" not in text


def test_dates_in_russian_and_english() -> None:
    local = datetime(2025, 7, 13, 12, 10, tzinfo=ZoneInfo("Asia/Yekaterinburg"))
    assert texts.date_words(local, language="ru", this_year=2025) == "13 июля (воскресенье)"
    assert texts.date_words(local, language="ru", this_year=2024) == "13 июля 2025 (воскресенье)"
    assert texts.date_words(local, language="en", this_year=2025) == "Sunday, 13 July"
    assert texts.date_words(local, language="en", this_year=2024) == "Sunday, 13 July 2025"


def test_times_are_by_the_salons_clock_whatever_offset_was_written() -> None:
    visit = Visit(starts_at=datetime(2025, 7, 13, 20, 30, tzinfo=UTC))
    company = Company(timezone_name="Asia/Vladivostok", title="Лотос")
    values = wording.values_of(company, visit=visit, language="ru", now=datetime(2025, 7, 1, tzinfo=UTC))
    assert (values["date"], values["time"]) == ("14 июля (понедельник)", "06:30")


def test_of_a_salon_without_a_known_clock_the_visits_own_offset_counts() -> None:
    visit = Visit(starts_at=datetime.fromisoformat("2025-07-13T12:10:00+05:00"))
    now = datetime(2025, 7, 1, tzinfo=UTC)
    assert wording.values_of(Company(), visit=visit, language="ru", now=now)["time"] == "12:10"
    assert wording.values_of(Company(), visit=visit, language="ru", now=now)["salon"] == "Салон красоты"
    lost = Company(timezone_name="Mars/Olympus")
    assert wording.values_of(lost, visit=visit, language="ru", now=now)["time"] == "10:10"


@pytest.mark.parametrize(
    ("written", "shown"),
    [("79991234567", "+7 999 123-45-67"), ("+7 (495) 123 45 67", "+7 495 123-45-67"), ("звоните", "звоните")],
)
def test_the_salons_phone_is_readable(written: str, shown: str) -> None:
    visit = Visit(starts_at=datetime(2025, 7, 13, tzinfo=UTC))
    values = wording.values_of(Company(phone=written), visit=visit, language="ru", now=visit.starts_at)
    assert values["phone"] == shown


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Вы записаны в «{salon}».", "Вы записаны в «Студия „Линия“»."),
        ("Ваш салон: {salon}", "Ваш салон: Студия «Линия»"),
    ],
)
def test_quotes_do_not_stand_in_the_same_quotes(template: str, said: str) -> None:
    assert (
        rendering.render(template, {**dict.fromkeys(rendering.NAMES, ""), "salon": "Студия «Линия»"}) == said
    )
