"""What every view of the page's HTTP API shares: Django REST framework's request cycle, without its threads.

The framework's views are synchronous, and a page that waits 20 s for a code would hold a thread for as long.
So `dispatch` is a coroutine here. Authentication, parsing and rendering only compute; whatever asks the
database does so in a thread of its class.
"""

from typing import Any

import structlog
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, MethodNotAllowed, ParseError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from onboarding.api import errors as api_errors
from onboarding.api.errors import ApiError
from onboarding.linking import tokens
from onboarding.linking.tokens import Registrant

log = structlog.get_logger("onboarding")

MAX_BODY = 64 * 1024  # bytes


def registrant_of(token: object) -> Registrant:
    """Whom the token speaks for. Raises AuthenticationFailed."""
    try:
        return tokens.verify(token if isinstance(token, str) else "")
    except tokens.InvalidToken as error:
        log.info("token refused", reason=str(error))
        raise AuthenticationFailed from error


class OnboardingTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <JWT>` of the onboarding page; `request.user` is its Registrant.

    No CSRF check: the bearer token is no cookie that a foreign page could make a browser send.
    """

    def authenticate(self, request: Request) -> tuple[Registrant, None] | None:
        scheme, _space, token = get_authorization_header(request).decode("latin-1").partition(" ")
        return (registrant_of(token.strip()), None) if scheme.lower() == "bearer" else None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasToken(BasePermission):
    """Only bearers of an onboarding token."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.user, Registrant)


class ObjectParser(JSONParser):
    """A JSON object."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        try:
            parsed = super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError from error
        if not isinstance(parsed, dict):
            raise ParseError
        return parsed


class PageApiView(APIView):
    """JSON in and out, the page's bearer token, errors as CONTRACT 2.6 shapes them, nothing cached.

    Handlers are coroutines.
    """

    authentication_classes: tuple[type[BaseAuthentication], ...] = (OnboardingTokenAuthentication,)
    permission_classes: tuple[type[BasePermission], ...] = (HasToken,)
    parser_classes = (ObjectParser,)
    renderer_classes = (JSONRenderer,)

    @staticmethod
    def body_of(request: Request) -> dict[str, Any]:
        """The body's object, an empty one for no body. Raises ParseError, UnsupportedMediaType."""
        data = request.data
        return data if isinstance(data, dict) else {}

    def get_exception_handler(self) -> Any:
        return api_errors.handle

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        self.args, self.kwargs = args, kwargs
        try:
            self.request = self._read(request, *args, **kwargs)
            handler = getattr(self, (request.method or "").lower(), None)
            if request.method not in self.allowed_methods or handler is None:
                raise MethodNotAllowed(request.method or "")
            self.initial(self.request, *args, **kwargs)
            response = await handler(self.request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  as the framework does: unknown ones are raised again
            response = self.handle_exception(error)
        self.response = self.finalize_response(self.request, response, *args, **kwargs)
        self.response["Cache-Control"] = "no-store"
        rendered: Response = self.response.render()
        return rendered

    def _read(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        self.headers = self.default_response_headers
        self.request = wrapped = self.initialize_request(request, *args, **kwargs)
        self.format_kwarg = None
        if request.method == "POST":
            if len(request.body) > MAX_BODY:
                raise ApiError(413, "too_large")
            # As it was read: a chunked body names no length, and the framework would take it for none.
            request.META["CONTENT_LENGTH"] = str(len(request.body))
        return wrapped

    def handle_exception(self, exc: Exception) -> Response:
        response = self.get_exception_handler()(exc, self.get_exception_handler_context())
        if response is None:
            raise exc
        response.exception = True
        return response  # type: ignore[no-any-return]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return JSONRenderer(), JSONRenderer.media_type  # whatever the client would rather have
