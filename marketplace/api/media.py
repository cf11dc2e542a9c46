"""Files over the public API: what a message brings, and fetching it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from marketplace.api.base import ApiView
from marketplace.api.errors import Problem
from marketplace.api.queries import visible_messages
from marketplace.api.schema import problems
from marketplace.models import ApiKey, Company
from whatsapp.media import files, outgoing
from whatsapp.media.responses import FileUnavailable, file_response
from whatsapp.models import MediaFile

State = MediaFile.State
REFUSALS = {
    "empty": (HTTPStatus.BAD_REQUEST, "file_empty", "The file is empty."),
    "too_large": (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "file_too_large", "The file is larger than what is sent.",
    ),
    "quota": (
        HTTPStatus.INSUFFICIENT_STORAGE, "file_quota", "The salon's files take up all the room they may.",
    ),
    "storage": (
        HTTPStatus.SERVICE_UNAVAILABLE, "storage", "The file cannot be stored now; try again.",
    ),
}  # fmt: skip


@contextmanager
def stored(company: Company, file: "UploadedFile[Any] | None") -> Iterator[MediaFile | None]:
    """The file in the storage, its row not saved yet; its bytes go again when what follows is refused.

    Raises Problem. After any other failure nobody knows whether the row was committed: the bytes stay, and go
    with their day where it was not.
    """
    if file is None:
        yield None
        return
    try:
        row = outgoing.store_upload(session_id=company.session_id, upload=file)
    except outgoing.NotAccepted as error:
        raise Problem(*REFUSALS[error.code]) from error
    try:
        yield row
    except Problem:
        files.drop(row.stored_name)
        raise


class AsItIs(BaseContentNegotiation):
    """The file has the type that it has, whatever the client asks for; errors are JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class MessageMediaView(ApiView):
    """The file of one message."""

    scopes = {"GET": ApiKey.Scope.MESSAGES_READ}
    content_negotiation_class = AsItIs

    @extend_schema(
        operation_id="get_message_media",
        responses={
            (200, "*/*"): OpenApiResponse(OpenApiTypes.BINARY, description="the file, or a range of it"),
            **problems(401, 403, 404, 409, 410, 429, 503),
        },
    )
    def get(self, request: Request, message_id: int) -> HttpResponse:
        """Fetch the file: 409 `not_ready` until it has come from WhatsApp, 410 `gone` when it is not kept."""
        message = visible_messages(self.salons(None)).filter(pk=message_id, media__isnull=False).first()
        file = MediaFile.objects.filter(messages=message).first() if message else None
        if file is None:
            raise NotFound("There is no such file.")
        if file.state in (State.WAITING, State.FAILED):
            raise Problem(HTTPStatus.CONFLICT, "not_ready", "The file is being fetched from WhatsApp.")
        if file.state != State.KEPT:
            raise Problem(HTTPStatus.GONE, "gone", f"The file is not kept: {file.error_code or file.state}.")
        try:
            return file_response(request._request, file)
        except FileUnavailable as error:
            if error.permanent:
                raise Problem(HTTPStatus.GONE, "gone", "The file is lost.") from error
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "storage", "The file cannot be read now; try again."
            ) from error
