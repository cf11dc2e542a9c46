"""The salon's own webhook over the public API: where events go, which ones, what became of the deliveries."""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.api.base import ApiView, NewestFirst
from marketplace.api.schema import PAGE, page_of, problems
from marketplace.api.serializers import SalonField, SalonQuery
from marketplace.inbound import forwarding, forwarding_changes
from marketplace.inbound.forwarding_post import new_secret
from marketplace.models import ApiKey, Company, ForwardedMessage, Forwarding
from marketplace.yclients import safe_http

SCOPES = dict.fromkeys(("GET", "PUT", "DELETE", "POST"), ApiKey.Scope.WEBHOOKS)


class WebhookIn(serializers.Serializer[dict[str, Any]]):
    """The address and the events that it gets beside what clients write."""

    salon_id = SalonField()
    url = serializers.CharField(max_length=2000, help_text="https, a public host")
    statuses = serializers.BooleanField(default=False, help_text="`message.status` of the API's messages")
    session_changes = serializers.BooleanField(default=False, help_text="`session.changed`")

    def validate_url(self, url: str) -> str:
        try:
            safe_http.check_public(url)
        except safe_http.AddressRefused as error:
            raise serializers.ValidationError("Must be a plain https address of a public host.") from error
        return url


class WebhookOut(serializers.Serializer[dict[str, Any]]):
    """The webhook as it stands; the address itself is not shown again, it may hold a token."""

    salon_id = serializers.IntegerField()
    host = serializers.CharField()
    enabled = serializers.BooleanField()
    statuses = serializers.BooleanField()
    session_changes = serializers.BooleanField()
    secret = serializers.CharField(required=False, help_text="only in the answer that made the webhook")
    waiting = serializers.BooleanField(help_text="a change of the address waits for support's approval")


class DeliveryOut(serializers.ModelSerializer[ForwardedMessage]):
    """One delivery and how far it is."""

    id = serializers.UUIDField(source="delivery_id")
    salon_id = serializers.IntegerField(source="forwarding.company.salon_id")
    message_id = serializers.CharField(allow_null=True)
    error = serializers.CharField(source="last_error")

    class Meta:
        model = ForwardedMessage
        fields = (
            "id", "salon_id", "event", "message_id", "state", "attempts", "error", "created_at",
            "delivered_at",
        )  # fmt: skip


class WebhookView(ApiView):
    """One salon's webhook."""

    scopes = SCOPES  # type: ignore[assignment]

    @extend_schema(
        operation_id="get_webhook",
        parameters=[SalonQuery],
        responses={200: WebhookOut, **problems(400, 401, 403, 404, 429)},
    )
    def get(self, request: Request) -> Response:
        """Where the salon's events go."""
        return Response(_shown(_webhook_of(self._salon_of_query(request))))

    @extend_schema(
        operation_id="set_webhook",
        request=WebhookIn,
        responses={200: WebhookOut, 201: WebhookOut, **problems(400, 401, 403, 404, 429)},
    )
    def put(self, request: Request) -> Response:
        """Set the address and its events; 201 with the secret when there was none."""
        body = WebhookIn(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        company = self.salon(wanted.get("salon_id"))
        events = {
            "sends_statuses": wanted["statuses"], "sends_session_changes": wanted["session_changes"],
        }  # fmt: skip
        row = Forwarding.objects.filter(company=company).first()
        if row is not None:
            Forwarding.objects.filter(pk=row.pk).update(**events)
            forwarding_changes.request_change(row=row, url=wanted["url"], enabled=True, by=_caller(self))
            return Response(_shown(_webhook_of(company)))
        secret = new_secret()
        row = Forwarding.objects.create(company=company, url="", secret=secret, enabled=False, **events)
        forwarding_changes.request_change(row=row, url=wanted["url"], enabled=True, by=_caller(self))
        return Response({**_shown(_webhook_of(company)), "secret": secret}, status=201)

    @extend_schema(
        operation_id="switch_webhook_off",
        parameters=[SalonQuery],
        responses={204: None, **problems(400, 401, 403, 404, 429)},
    )
    def delete(self, request: Request) -> Response:
        """Send nothing more to the address; what waits is given up until a replay."""
        row = _webhook_of(self._salon_of_query(request))
        forwarding_changes.request_change(row=row, url=row.url, enabled=False, by=_caller(self))
        return Response(status=204)

    def _salon_of_query(self, request: Request) -> Company:
        query = SalonQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return self.salon(query.validated_data.get("salon_id"))


class DeliveriesView(ApiView):
    """What was delivered to the salons' webhooks."""

    scopes = SCOPES  # type: ignore[assignment]

    @extend_schema(
        operation_id="list_deliveries",
        parameters=[SalonQuery, *PAGE],
        responses={200: page_of(DeliveryOut), **problems(400, 401, 403, 404, 429)},
    )
    def get(self, request: Request) -> Response:
        """List deliveries, the newest first."""
        query = SalonQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        rows = _deliveries(Q(forwarding__company__in=self.salons(query.validated_data.get("salon_id"))))
        pages = NewestFirst()
        page = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response(DeliveryOut(page, many=True).data)


class ReplayView(ApiView):
    """One given up delivery, once more."""

    scopes = SCOPES  # type: ignore[assignment]

    @extend_schema(
        operation_id="replay_delivery",
        request=None,
        responses={202: DeliveryOut, **problems(400, 401, 403, 404, 429)},
    )
    def post(self, request: Request, delivery_id: UUID) -> Response:
        """Deliver it again, for another day."""
        row = _deliveries(Q(forwarding__company__in=self.salons(None), delivery_id=delivery_id)).first()
        if row is None:
            raise NotFound("There is no such delivery.")
        if not forwarding.replay(forwarded=row, by=_caller(self)):
            raise ValidationError({"delivery_id": ["It was not given up, or its text is no longer kept."]})
        row.refresh_from_db(fields=["state", "attempts", "last_error"])
        return Response(DeliveryOut(row).data, status=202)


def _caller(view: ApiView) -> str:
    """Who asks, in the salon's events."""
    return f"API key: {view.client.key.prefix}"


def _deliveries(wanted: Q) -> QuerySet[ForwardedMessage]:
    rows = ForwardedMessage.objects.filter(wanted).select_related("forwarding__company")
    return rows.only(
        "delivery_id", "event", "message_id", "state", "attempts", "last_error", "created_at", "delivered_at",
        "forwarding__company__salon_id",
    )  # fmt: skip


def _webhook_of(company: Company) -> Forwarding:
    row = Forwarding.objects.filter(company=company).first()
    if row is None:
        raise NotFound("This salon has no webhook.")
    return row


def _shown(row: Forwarding) -> dict[str, Any]:
    waiting = row.changes.filter(state="waiting").exists()
    return {
        "salon_id": row.company.salon_id,
        "host": forwarding_changes.host_of(row.url),
        "enabled": row.enabled,
        "statuses": row.sends_statuses,
        "session_changes": row.sends_session_changes,
        "waiting": waiting,
    }
