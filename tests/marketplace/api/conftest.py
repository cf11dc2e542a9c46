"""A salon's own system with a key, as a client of the public API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

if TYPE_CHECKING:  # models can be imported only after pytest has set Django up
    from marketplace.models import ApiKey, Company

BASE = "/api/v1"


@dataclass
class ApiCaller:
    """Calls the API with one key."""

    row: ApiKey
    key: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer to one request; `path` below `/api/v1`, or a whole address from an answer."""
        address = path if path.startswith("http") else f"{BASE}{path}"
        data = json.dumps(body) if body is not None else ""
        given = {"Authorization": f"Bearer {self.key}", **headers}
        return Client().generic(method, address, data, content_type="application/json", headers=given)

    def get(self, path: str, **query: Any) -> Any:
        """GET with a query."""
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        return self.call("GET", f"{path}?{pairs}" if pairs else path)

    def send(self, idempotency_key: str = "", **fields: Any) -> Any:
        """POST one message."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self.call(
            "POST", "/messages", {"to": "+7 999 000-00-00", "text": "Добрый день", **fields}, **headers
        )


def caller_for(*companies: Company, scopes: list[str] | None = None) -> ApiCaller:
    """A caller whose key has these salons and all scopes, or those named."""
    from marketplace.api.keys import create_key
    from marketplace.models import ApiKey

    wanted = ApiKey.Scope.values if scopes is None else scopes
    return ApiCaller(*create_key(name="bot", companies=companies, scopes=wanted))


@pytest.fixture
def moscow(transactional_db: None) -> Company:
    """An active, connected salon."""
    from tests.marketplace.salons_data import make_active

    return make_active()


@pytest.fixture
def caller(moscow: Company) -> ApiCaller:
    """A caller with every scope for Moscow alone."""
    return caller_for(moscow)
