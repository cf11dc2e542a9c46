"""Attacks on every address of the cabinet: the list is read from its URL patterns, so new ones are in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from marketplace.models import Company, MarketplaceEvent
from onboarding.cabinet import sessions, urls
from tests.onboarding.cabinet.owners import owned_salon, signed_in
from whatsapp.models import Message, Session

pytestmark = pytest.mark.django_db

MINE, OTHERS = 307626, 412870
OF_A_SALON = sorted(
    str(pattern.name) for pattern in urls.urlpatterns if "salon_id" in pattern.pattern.converters
)


def address(name: str, salon_id: int) -> str:
    """The address of a screen or action of the salon; other parts of it are 1."""
    pattern = next(each for each in urls.urlpatterns if each.name == name)
    kinds = {key: type(converter).__name__ for key, converter in pattern.pattern.converters.items()}
    values: dict[str, Any] = {key: 1 if kind == "IntConverter" else "created" for key, kind in kinds.items()}
    return reverse(name, kwargs={**values, "salon_id": salon_id})


def state() -> list[Any]:
    """What a forged picture or link in a mail could want to change."""
    tables: list[type[Model]] = [Company, Session, Message, MarketplaceEvent]
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", OF_A_SALON)
class TestEachAddress:
    def ask(self, client: Client, method: str, name: str, salon_id: int = MINE) -> Any:
        return getattr(client, method)(address(name, salon_id))

    def test_leads_a_visitor_without_a_session_to_the_way_in(self, method: str, name: str) -> None:
        owned_salon(MINE)
        response = self.ask(Client(), method, name)
        assert response.status_code == 405 or response["Location"] == reverse("cabinet")

    def test_does_not_exist_for_another_salons_owner(self, method: str, name: str) -> None:
        mine, _others = owned_salon(MINE), owned_salon(OTHERS, owner="2", phone="79990002233")
        assert self.ask(signed_in([mine]), method, name, OTHERS).status_code in (404, 405)

    def test_does_not_exist_even_where_a_session_names_a_salon_of_another_owner(
        self, method: str, name: str
    ) -> None:
        mine, others = owned_salon(MINE), owned_salon(OTHERS, owner="2", phone="79990002233")
        assert self.ask(signed_in([mine, others]), method, name, OTHERS).status_code in (404, 405)

    @pytest.mark.parametrize(
        "lost",
        [
            {"marketplace_user_id": "2"},
            {"disputed_at": timezone.now()},
            {"status": "uninstalled", "api_key": "", "api_key_digest": None},
            {"uninstalled_at": timezone.now() + timedelta(hours=1)},
        ],
    )
    def test_is_closed_once_the_power_has_ended(self, method: str, name: str, lost: dict[str, Any]) -> None:
        mine = owned_salon(MINE)
        client = signed_in([mine])
        for key, value in lost.items():
            setattr(mine, key, value)
        mine.save()
        response = self.ask(client, method, name)
        assert response.status_code == 405 or response["Location"] == reverse("cabinet")

    def test_is_closed_to_an_expired_session(
        self, method: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = signed_in([owned_salon(MINE)])
        monkeypatch.setattr(sessions, "IDLE", timedelta(seconds=-1))
        response = self.ask(client, method, name)
        assert response.status_code == 405 or response["Location"] == reverse("cabinet")

    def test_takes_no_form_of_another_site(self, method: str, name: str) -> None:
        if method == "get":
            method = "put"
        client = signed_in([owned_salon(MINE)], enforce_csrf_checks=True)
        assert self.ask(client, method, name).status_code in (403, 405)

    def test_changes_nothing_when_it_is_only_opened(self, method: str, name: str) -> None:
        mine = owned_salon(MINE)
        client = signed_in([mine])
        before = state()
        response = self.ask(client, "head" if method == "post" else "get", name)
        assert response.status_code in (200, 404, 405)  # 404: the address names a row that is not there
        assert state() == before

    def test_is_neither_framed_nor_cached(self, method: str, name: str) -> None:
        response = self.ask(signed_in([owned_salon(MINE)]), "get", name)
        if response.status_code == 405:
            return
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
        assert "unsafe-inline" not in response["Content-Security-Policy"]
        assert "no-store" in response["Cache-Control"]
