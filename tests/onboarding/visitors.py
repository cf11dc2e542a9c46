"""Salons at the page, and what a pool would write about their phones."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from django.conf import settings
from django.test import Client
from django.utils import timezone

from config.shared import hints
from marketplace.models import Company, MarketplaceEvent
from onboarding.linking import tokens
from whatsapp.models import BUMP, Session
from whatsapp.sessions import services

QR = "https://wa.me/settings/linked_devices#2@ref{n},bm9pc2U=,aWRlbnRpdHk=,c2VjcmV0,1"
PHONE = "79990000900"


@dataclass
class Visitor:
    """A salon owner with the page open."""

    company: Company
    token: str

    @property
    def session(self) -> Session:
        return Session.objects.get(companies=self.company)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """POST JSON with the bearer token."""
        data = body if isinstance(body, bytes | str) else json.dumps({} if body is None else body)
        options.setdefault("content_type", "application/json")
        headers = options.pop("headers", self.bearer)
        return Client().post(path, data, headers=headers, **options)

    def status(self, salon_id: int | None = None) -> Any:
        """GET the status endpoint."""
        path = f"/marketplace/api/status/company_{salon_id or self.company.salon_id}"
        return Client().get(path, headers=self.bearer)

    def pool_writes(self, **changes: Any) -> None:
        """Change the session as the pool does: with a new version, and a hint."""
        Session.objects.filter(pk=self.session.pk).update(version=BUMP, **changes)
        hints.session_changed(self.session.pk)

    def shows_qr(self, n: int = 1, seconds: float = 60) -> str:
        text = QR.format(n=n)
        self.pool_writes(status="qr", wanted="linked", qr=text, qr_expires_at=after(seconds))
        return text

    def shows_code(self, code: str = "6R4J-8Q3R", seconds: float = 50) -> None:
        self.pool_writes(
            status="pairing_code",
            wanted="linked",
            pairing_code=code,
            pairing_code_expires_at=after(seconds),
            pairing_phone=PHONE,
        )

    def phone_scans(self) -> None:
        self.pool_writes(
            status="connected", wanted="linked", jid=f"{PHONE}:1@s.whatsapp.net", phone=PHONE, qr="",
            qr_expires_at=None, pairing_code="", paired_at=timezone.now(), connected_at=timezone.now(),
        )  # fmt: skip

    def becomes(self, status: str, **fields: Any) -> None:
        """The company moves on, as the activation or a webhook does it."""
        if status in ("active", "activating"):
            fields |= {"api_key": "k" * 64, "api_key_digest": f"{self.company.salon_id:064d}"}
        else:
            fields |= {"api_key": "", "api_key_digest": None}
        Company.objects.filter(pk=self.company.pk).update(status=status, **fields)
        services.mark_changed(session=self.session)


def after(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def arrive(salon_id: int, title: str) -> Visitor:
    """Register a salon without any call to YClients."""
    company = Company.objects.create(salon_id=salon_id, title=title, session=services.create_session())
    MarketplaceEvent.objects.create(company=company, salon_id=salon_id, event_type="registration_started")
    return Visitor(company, tokens.issue(company=company, companies=[company]))


def forge(
    visitor: Visitor | None = None, *, secret: str | None = None, algorithm: str = "HS256", **changes: Any
) -> str:
    """A token with good claims, apart from `changes`; None removes a claim."""
    now = datetime.now(UTC)
    claims = {
        "company_id": visitor.company.pk if visitor else 1,
        "salon_id": visitor.company.salon_id if visitor else 307626,
        "type": "marketplace_registration",
        "jti": "a1",
        "iat": now,
        "exp": now + timedelta(hours=1),
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, settings.JWT_SECRET if secret is None else secret, algorithm=algorithm)


def forgeries(visitor: Visitor) -> dict[str, str]:
    """Every way of faking this visitor's token."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    return {
        "missing": "",
        "nonsense": "abc.def.ghi",
        "another secret": forge(visitor, secret="another-secret-of-sufficient-length-000000"),
        "no signature": forge(visitor, secret="", algorithm="none"),
        "another algorithm": forge(visitor, algorithm="HS384"),
        "another kind": forge(visitor, type="access"),
        "expired": forge(visitor, exp=past),
        "a company that is not": forge(visitor, company_id=987654),
        "another's salon": forge(visitor, salon_id=1, salon_ids=[1]),
    }
