"""The cabinet's session: no password, a cookie of its own, and power that is asked for at every request.

The session says only who came (the holder's digest, or the one-time link that was opened) and for which
salons. Whether that person still has power over a salon is read from its row each time.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse

from marketplace.models import Company
from marketplace.salons import access

# Phones lie around in a salon: a forgotten cabinet closes over night, and once a week all come in anew.
IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
SAVED_EVERY = timedelta(minutes=5)  # a page view writes no row as a rule
MOST_SALONS = 200


class CabinetStore(SessionStore):
    """Rows of Django's session table, signed under this class's own name: staff's sessions are not readable
    as ours, nor ours as theirs."""

    salons: list[Company]  # those of this request, see `salons_of`; not stored


def cookie_name() -> str:
    """Browsers keep a `__Host-` name to this very host; no other host of the domain can set it."""
    return "__Host-cabinet" if settings.SESSION_COOKIE_SECURE else "cabinet"


def start(
    request: HttpRequest, *, holder: str, salon_ids: Iterable[int], access_request: int | None = None
) -> CabinetStore:
    """Begin a session under a new key and end the browser's present one.

    The salons of the same person's present session stay in it: branches come by links of their own.
    """
    salons, language = list(salon_ids), ""
    old = read(request)
    if old is not None:
        language = old.get("language", "")
        if access_request is None and holder and old["holder"] == holder and not old["access_request"]:
            salons += old["salons"]
        old.flush()
    now = int(time.time())
    CabinetStore.clear_expired()  # cheap by an index; nothing else removes them
    store = CabinetStore()
    store.update(
        {
            "holder": holder,
            "salons": list(dict.fromkeys(salons))[:MOST_SALONS],
            "access_request": access_request,
            "began": now,
            "seen": now,
            "language": language,
        }
    )
    store.set_expiry(IDLE)
    store.create()
    return store


def attach(response: HttpResponse, store: CabinetStore) -> None:
    """Give the browser the session's key."""
    response.set_cookie(
        cookie_name(),
        cast(str, store.session_key),
        max_age=LONGEST,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def read(request: HttpRequest) -> CabinetStore | None:
    """The browser's session, None without a valid one; one that was idle or lasted too long is removed."""
    key = request.COOKIES.get(cookie_name(), "")
    if not (key.isascii() and key.isalnum() and len(key) <= 40):
        return None
    store = CabinetStore(key)
    if "began" not in store:
        return None
    now = time.time()
    if now - store["began"] > LONGEST.total_seconds() or now - store["seen"] > IDLE.total_seconds():
        store.flush()
        return None
    if now - store["seen"] > SAVED_EVERY.total_seconds():
        store["seen"] = int(now)
        store.set_expiry(IDLE)
    return store


def save(store: CabinetStore) -> None:
    """Store what a request changed; a session that was ended meanwhile stays ended."""
    if store.modified and store.session_key:
        with suppress(UpdateError):
            store.save()


def end(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Forget the browser's session, here and, by `response`, there."""
    if store := read(request):
        store.flush()
    response.delete_cookie(cookie_name(), samesite="Lax")
    if settings.SESSION_COOKIE_SECURE:  # browsers ignore even the removal of a `__Host-` name without it
        response.cookies[cookie_name()]["secure"] = True
    return response


def salons_of(store: CabinetStore) -> list[Company]:
    """The salons that the session's person has power over now, by name.

    None that was removed, is disputed, changed its owner, or was installed anew since the session began.
    """
    rows = Company.objects.select_related("session").defer(*Company.SECRETS)
    named = rows.filter(salon_id__in=store["salons"]).order_by("title", "salon_id")
    return [company for company in named if _has_power(company, store)]


def _has_power(company: Company, store: CabinetStore) -> bool:
    if company.status == Company.Status.UNINSTALLED or company.disputed_at:
        return False
    removed = company.uninstalled_at
    if removed is not None and datetime.fromtimestamp(store["began"], UTC) <= removed:
        return False
    return access.has_power(company, holder=store["holder"], request_id=store["access_request"])


def bind(request: HttpRequest, store: CabinetStore) -> None:
    """Let the code behind a view reach the session by `of`."""
    cast(Any, request).cabinet = store


def of(request: HttpRequest) -> CabinetStore:
    """The session of a request that a cabinet view answers."""
    return cast(CabinetStore, cast(Any, request).cabinet)


def flash(request: HttpRequest, text: str, *, tone: str = "good") -> None:
    """Show `text` once, on the next page; `tone` is `good` or `bad`."""
    store = of(request)
    store["flash"] = [*store.get("flash", [])[-4:], {"text": str(text), "tone": tone}]


def pop_flash(request: HttpRequest) -> list[dict[str, str]]:
    """The texts for this page, forgotten by it."""
    store = of(request)
    return cast(list[dict[str, str]], store.pop("flash")) if "flash" in store else []
