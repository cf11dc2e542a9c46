"""Owners signed in to the cabinet, for tests of its screens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.test import Client, RequestFactory
from django.utils import timezone

from marketplace.models import Company
from marketplace.salons import ownership
from onboarding.cabinet import sessions
from tests.marketplace.salons_data import make_active
from whatsapp.models import Session

PHONE = "79990001122"


def owned_salon(salon_id: int = 307626, *, owner: str = "1", phone: str = PHONE, **fields: Any) -> Company:
    """An active salon of the YClients user `owner`, its phone linked and connected."""
    session = fields.pop("session", None) or Session.objects.create(
        status="connected",
        wanted="linked",
        jid=f"{phone}:1@s.whatsapp.net",
        phone=phone,
        paired_at=timezone.now(),
        connected_at=timezone.now(),
    )
    fields.setdefault("timezone_name", "Europe/Moscow")
    return make_active(salon_id, session=session, marketplace_user_id=owner, **fields)


def signed_in(salons: Iterable[Company], *, language: str = "en", **options: Any) -> Client:
    """A browser with a cabinet session of the first salon's owner over these salons."""
    companies = list(salons)
    store = sessions.start(
        RequestFactory().get("/"),
        holder=ownership.digest_of(ownership.owner_of(companies[0])),
        salon_ids=[company.salon_id for company in companies],
        access_request=options.pop("access_request", None),
    )
    client = Client(headers={"Accept-Language": language}, **options)
    client.cookies[sessions.cookie_name()] = str(store.session_key)
    return client
