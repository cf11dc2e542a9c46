"""What every view of the public API shares."""

from typing import Any

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketplace.api.authentication import ApiClient, ApiKeyAuthentication, HasScope
from marketplace.api.errors import problem_response
from marketplace.api.throttling import KeyThrottle, add_rate_limit_headers
from marketplace.models import Company


class ApiView(APIView):
    """JSON in and out, a key with the scope that `scopes` names for the method, a limit for each key."""

    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (HasScope,)
    throttle_classes = (KeyThrottle,)
    parser_classes: tuple[type[BaseParser], ...] = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    scopes: dict[str, str] = {}

    def get_exception_handler(self) -> Any:
        return problem_response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(final, Response):
            add_rate_limit_headers(self.request, final)
        return final

    @property
    def client(self) -> ApiClient:
        client = self.request.user
        assert isinstance(client, ApiClient)  # noqa: S101  HasScope lets nobody else in
        return client

    def salons(self, salon_id: int | None) -> list[Company]:
        """The key's salons, or the one of this number; raises NotFound when the key has it not."""
        companies = list(self.client.companies())
        if salon_id is not None:
            companies = [company for company in companies if company.salon_id == salon_id]
        if not companies:
            raise NotFound("This key has no such salon.")
        return companies

    def salon(self, salon_id: int | None) -> Company:
        """The named salon, or the key's only one; raises ValidationError when it must be named."""
        companies = self.salons(salon_id)
        if len(companies) > 1:
            raise ValidationError({"salon_id": ["The key has several salons: name one."]})
        return companies[0]


class NewestFirst(CursorPagination):
    """Pages by an opaque cursor: new rows shift nothing, and no page costs more than another."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
