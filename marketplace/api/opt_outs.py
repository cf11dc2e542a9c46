"""Opt-outs over the public API."""

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.api.base import ApiView, NewestFirst
from marketplace.api.schema import PAGE, page_of, problems
from marketplace.api.sending import digits_of
from marketplace.api.serializers import NewOptOut, OptOutOut, SalonQuery
from marketplace.inbound import opt_outs
from marketplace.models import ApiKey, OptOut

SCOPES = dict.fromkeys(("GET", "POST", "DELETE"), ApiKey.Scope.OPT_OUTS)


class OptOutsView(ApiView):
    """Clients who want no messages."""

    scopes = SCOPES  # type: ignore[assignment]

    @extend_schema(
        operation_id="list_opt_outs",
        parameters=[SalonQuery, *PAGE],
        responses={200: page_of(OptOutOut), **problems(400, 401, 403, 404, 429)},
    )
    def get(self, request: Request) -> Response:
        """List the opt-outs that hold, the newest first."""
        query = SalonQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        salons = self.salons(query.validated_data.get("salon_id"))
        rows = OptOut.objects.filter(company__in=salons, undone_at=None).select_related("company")
        pages = NewestFirst()
        page = pages.paginate_queryset(
            rows.defer("company__api_key", "company__webhook_secret"), request, view=self
        )
        return pages.get_paginated_response(OptOutOut(page, many=True).data)

    @extend_schema(
        operation_id="add_opt_out",
        request=NewOptOut,
        responses={201: OptOutOut, **problems(400, 401, 403, 404, 429)},
    )
    def post(self, request: Request) -> Response:
        """Note that a client wants no more messages; what waits for him and is covered ends."""
        body = NewOptOut(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        company = self.salon(wanted.get("salon_id"))
        phone = digits_of(wanted["phone"], company)
        opt_outs.opt_out(
            company_ids=[company.pk], phone=phone, said_by=self.client.key.name, scope=wanted["scope"]
        )
        row = OptOut.objects.select_related("company").get(company=company, phone=phone)
        return Response(OptOutOut(row).data, status=201)


class OptOutView(ApiView):
    """One client's opt-out."""

    scopes = SCOPES  # type: ignore[assignment]

    @extend_schema(
        operation_id="remove_opt_out",
        parameters=[SalonQuery],
        responses={204: None, **problems(400, 401, 403, 404, 429)},
    )
    def delete(self, request: Request, phone: str) -> Response:
        """The client wants messages again."""
        query = SalonQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        company = self.salon(query.validated_data.get("salon_id"))
        digits = digits_of(phone, company)
        if not opt_outs.opted_out(company_ids=[company.pk], phone=digits):
            raise NotFound("This client has not opted out.")
        opt_outs.opt_in(company_ids=[company.pk], phone=digits, said_by=self.client.key.name)
        return Response(status=204)
