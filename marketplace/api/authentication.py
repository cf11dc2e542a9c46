"""Who calls the public API: `Authorization: Bearer wsk_…`, and what the key may do."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from marketplace.api.keys import find_key
from marketplace.models import ApiKey, Company


@dataclass(frozen=True, slots=True)
class ApiClient:
    """The caller, in the place where Django has its user."""

    key: ApiKey
    is_authenticated: bool = True

    @property
    def pk(self) -> int:
        return self.key.pk

    def companies(self) -> QuerySet[Company]:
        """The key's salons that are still installed, without their secrets."""
        installed = self.key.companies.exclude(status=Company.Status.UNINSTALLED)
        return installed.defer(*Company.SECRETS).order_by("salon_id")


class ApiKeyAuthentication(BaseAuthentication):
    """Recognises the bearer key; a request without one is nobody's, with a wrong one refused (401)."""

    def authenticate(self, request: Request) -> tuple[ApiClient, ApiKey] | None:
        scheme, _, given = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not given:
            return None
        row = find_key(given.strip())
        if row is None:
            raise AuthenticationFailed("The key is unknown, revoked or expired.")
        return ApiClient(row), row

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasScope(BasePermission):
    """The key must hold the scope that the view names for the method, in `scopes`."""

    message = "The key has no scope for this request."

    def has_permission(self, request: Request, view: APIView) -> bool:
        wanted = getattr(view, "scopes", {}).get(request.method)
        client = request.user
        if not isinstance(client, ApiClient):
            return False
        return wanted is None or wanted in client.key.scopes


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema names the authentication."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A key made in the admin: `wsk_…`."}
