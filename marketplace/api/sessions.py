"""The state of the salons' WhatsApp over the public API."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.api.base import ApiView
from marketplace.api.schema import problems
from marketplace.api.serializers import SalonQuery, SessionOut
from marketplace.models import ApiKey


class SessionsView(ApiView):
    """The key's salons and their linked numbers."""

    scopes = {"GET": ApiKey.Scope.SESSION_READ}

    @extend_schema(
        operation_id="list_sessions",
        parameters=[SalonQuery],
        responses={200: SessionOut(many=True), **problems(400, 401, 403, 404, 429)},
    )
    def get(self, request: Request) -> Response:
        """List the key's salons with the state of their WhatsApp."""
        query = SalonQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(SessionOut(self.salons(query.validated_data.get("salon_id")), many=True).data)
