"""A browser is sent on only to pages of YClients and Altegio."""

from typing import Any

import pytest

from marketplace.yclients.redirects import safe_redirect

PAGE = "https://yclients.com/appstore"


@pytest.mark.parametrize(
    "location",
    [
        "https://yclients.com/appstore/42",
        "https://n123.yclients.com/settings?a=1#b",
        "https://app.alteg.io/x",
        "http://127.0.0.1:9/back?salon_id=1",
    ],
)
def test_their_own_pages_are_followed(location: str, settings: Any) -> None:
    settings.YCLIENTS_API_URL = "http://127.0.0.1:9"
    assert safe_redirect(location) == location


@pytest.mark.parametrize(
    "location",
    [
        "",
        "/back",
        "//evil.example/",
        "http://yclients.com/",
        "javascript:alert(1)",
        "https://evil.example/yclients.com",
        "https://yclients.com.evil.example/",
        "https://evilyclients.com/",
        "https://yclients.com@evil.example/",
        "https://user:word@yclients.com/",
        "https://yclients.com\\@evil.example/",
        "https://n1.yclients.com:8443/",
        "https://yclients.com:port/",
        "https://[::1/",
        "https://yclients.com/\r\nSet-Cookie: a=b",
        "https://yclients.com/" + "x" * 1000,
        "https://уclients.com/",
    ],
)
def test_everything_else_leads_to_the_marketplace(location: str, settings: Any) -> None:
    settings.YCLIENTS_MARKETPLACE_PAGE = PAGE
    assert safe_redirect(location) == PAGE
