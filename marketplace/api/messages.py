"""Messages over the public API: send, list, follow one."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.api import sending
from marketplace.api.base import ApiView, NewestFirst
from marketplace.api.queries import visible_messages
from marketplace.api.schema import PAGE, page_of, problems
from marketplace.api.serializers import MessageOut, MessageQuery, NewMessage, NewMessageWithFile
from marketplace.models import ApiKey
from whatsapp.models import Message

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="your own name of the message, up to 100 characters: a repeat sends nothing",
)


class MessagesView(ApiView):
    """All messages of the key's salons."""

    scopes = {"GET": ApiKey.Scope.MESSAGES_READ, "POST": ApiKey.Scope.MESSAGES_SEND}
    parser_classes = (JSONParser, MultiPartParser)

    @extend_schema(
        operation_id="list_messages",
        parameters=[MessageQuery, *PAGE],
        responses={200: page_of(MessageOut), **problems(400, 401, 403, 404, 429)},
    )
    def get(self, request: Request) -> Response:
        """List messages, the newest first."""
        query = MessageQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return self.page(query.validated_data)

    @extend_schema(
        operation_id="send_message",
        parameters=[IDEMPOTENCY_KEY],
        request={"application/json": NewMessage, "multipart/form-data": NewMessageWithFile},
        responses={
            200: MessageOut,
            202: MessageOut,
            **problems(400, 401, 402, 403, 404, 409, 413, 422, 429, 503, 507),
        },
    )
    def post(self, request: Request) -> Response:
        """Queue a message: 202 when it is taken, 200 when it was taken before under the same key.

        As a form it may bring a `file`: a JPEG or PNG goes as a picture, everything else as a document.
        """
        body = NewMessageWithFile(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = dict(body.validated_data)
        message, is_new = sending.send(
            company=self.salon(wanted.pop("salon_id", None)),
            send_at=wanted.pop("send_at", None),
            idempotency_key=request.headers.get("Idempotency-Key", "").strip(),
            **wanted,
        )
        return Response(MessageOut(message).data, status=202 if is_new else 200)

    def page(self, wanted: dict[str, Any]) -> Response:
        """One page of the messages that the query asks for."""
        rows = visible_messages(self.salons(wanted.get("salon_id")))
        for name in ("status", "direction", "phone"):
            if name in wanted:
                rows = rows.filter(**{name: wanted[name]})
        if "since" in wanted:
            rows = rows.filter(created_at__gte=wanted["since"])
        pages = NewestFirst()
        page = pages.paginate_queryset(rows, self.request, view=self)
        return pages.get_paginated_response(MessageOut(page, many=True).data)


class InboundView(MessagesView):
    """What clients wrote."""

    http_method_names = ["get", "head", "options"]

    @extend_schema(
        operation_id="list_inbound",
        parameters=[MessageQuery, *PAGE],
        responses={200: page_of(MessageOut), **problems(400, 401, 403, 404, 429)},
    )
    def get(self, request: Request) -> Response:
        """List what clients wrote, the newest first."""
        query = MessageQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return self.page({**query.validated_data, "direction": Message.Direction.IN})


class MessageView(ApiView):
    """One message."""

    scopes = {"GET": ApiKey.Scope.MESSAGES_READ}

    @extend_schema(operation_id="get_message", responses={200: MessageOut, **problems(401, 403, 404, 429)})
    def get(self, request: Request, message_id: int) -> Response:
        """How far one message is."""
        row = visible_messages(self.salons(None)).filter(pk=message_id).first()
        if row is None:
            raise NotFound("There is no such message.")
        return Response(MessageOut(row).data)
