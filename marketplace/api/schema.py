"""The OpenAPI schema of the public API: errors, and the pages that show it from our own host."""

from functools import cache
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from marketplace.api.errors import MEDIA_TYPE


class ProblemOut(serializers.Serializer[dict[str, Any]]):
    """Problem details as of RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="machine word")
    detail = serializers.CharField(help_text="a sentence for developers")
    errors = serializers.DictField(  # type: ignore[assignment]
        required=False, help_text="complaints by field"
    )


PAGE = [
    OpenApiParameter("cursor", str, description="from `next` or `previous` of another page"),
    OpenApiParameter("limit", int, description="rows a page, at most 200"),
]


@cache
def page_of(row: type[serializers.Serializer[Any]]) -> Any:
    """The answer of a list: one page of rows, and the addresses of its neighbours."""
    return inline_serializer(
        name=f"{row.__name__}Page",
        fields={
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": row(many=True),
        },
    )


def problems(*statuses: int) -> dict[Any, Any]:
    """The documented errors of an operation."""
    return {
        (status, MEDIA_TYPE): OpenApiResponse(ProblemOut, description=HTTPStatus(status).phrase)
        for status in statuses
    }


def only_the_public_api(endpoints: list[Any]) -> list[Any]:
    """Leave out the addresses that YClients and our own pages call."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]
