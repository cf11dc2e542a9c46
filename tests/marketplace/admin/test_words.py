"""Support's lists of sessions in Russian, and times by the salon's clock."""

import ast
from datetime import UTC, datetime
from typing import TypeGuard

import pytest
from django.test import Client

from config.support_group import make_support_group
from marketplace.models import Company
from tests.marketplace.admin.staff import signed_in
from tests.onboarding.cabinet.owners import owned_salon
from tests.test_architecture import source_files
from whatsapp.models import Session, SessionEvent

pytestmark = pytest.mark.django_db(transaction=True)
WRITERS = {"SessionEvent.objects.create", "_note"}


@pytest.fixture
def salon() -> Company:
    return owned_salon(307626, title="Лотос")


@pytest.fixture
def support() -> Client:
    return signed_in("support", make_support_group())


def kinds_in_the_source() -> set[str]:
    """What the pool (`note="…"`) and the services (`kind="…"`) write into a session's history."""
    found = set()
    for path in source_files("whatsapp"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                written = "kind" if ast.unparse(node.func) in WRITERS else "note"
                values = (word.value for word in node.keywords if word.arg == written)
                found |= {str(each.value) for value in values for each in ast.walk(value) if is_word(each)}
    return found


def is_word(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != ""


def test_every_kind_in_a_sessions_history_has_words() -> None:
    found = kinds_in_the_source()
    assert len(found) > 20
    assert found - set(SessionEvent.Kind.values) == set()


def test_a_sessions_history_speaks_russian_and_is_filtered_in_words(salon: Company, support: Client) -> None:
    assert salon.session is not None
    for kind in ("stable", "line_silent", "of_a_later_version"):
        SessionEvent.objects.create(session=salon.session, kind=kind)
    address = "/admin/whatsapp/sessionevent/"
    page = support.get(address).content.decode()
    assert page.count("связь устоялась") == 2  # the row, and the filter
    assert "of_a_later_version" in page
    assert ">stable<" not in page
    assert support.get(f"{address}?kind=stable").context["cl"].result_count == 1
    assert (
        "связь устоялась"
        in support.get(f"/admin/whatsapp/session/{salon.session_id}/change/").content.decode()
    )


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia/Yekaterinburg", "6 декабря 2026 02:30 (UTC+5)"),
        ("Asia/Kolkata", "6 декабря 2026 03:00 (UTC+5:30)"),
        ("", "6 декабря 2026 00:30 (UTC+3)"),
    ],
)
def test_a_bans_end_is_shown_by_the_salons_clock(
    salon: Company, support: Client, zone: str, shown: str
) -> None:
    Company.objects.update(timezone_name=zone)
    Session.objects.update(banned_until=datetime(2026, 12, 5, 21, 30, tzinfo=UTC))
    page = support.get(f"/admin/whatsapp/session/{salon.session_id}/change/").content.decode()
    assert shown in page
