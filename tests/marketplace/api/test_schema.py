"""The schema describes the running server: every documented request is answered as documented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.marketplace.api.conftest import ApiCaller

if TYPE_CHECKING:
    from pytest_django.live_server_helper import LiveServer

pytestmark = pytest.mark.django_db(transaction=True)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def api_schema(live_server: LiveServer, settings: Any) -> Any:
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    return schemathesis.openapi.from_url(f"{live_server.url}/api/schema/?format=json")


def test_every_operation_answers_as_described(api_schema: Any, caller: ApiCaller) -> None:
    operations = [result.ok() for result in api_schema.get_all_operations()]
    assert len(operations) >= 8
    for operation in operations:
        _check(operation, caller)


def _check(operation: Any, caller: ApiCaller) -> None:
    @settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy())
    def answers_as_described(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {caller.key}"}, checks=CHECKS)

    answers_as_described()


def test_the_documentation_page_comes_from_our_own_host(db: None) -> None:
    answer = Client().get("/api/docs/")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "https://" not in page.replace("https://schema", "")
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_the_schema_holds_the_public_api_alone(db: None) -> None:
    schema = Client().get("/api/schema/?format=json").json()
    assert schema["openapi"].startswith("3.1")
    assert schema["paths"]
    assert all(path.startswith("/api/v1/") for path in schema["paths"])
