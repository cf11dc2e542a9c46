"""What the page of a pool shows of its outgoing proxy."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from whatsapp.models import Pool

pytestmark = pytest.mark.django_db

HOST = {
    "id": "host-1",
    "pid": 7,
    "kind": "shard",
    "sessions": 1,
    "rss_bytes": 1,
    "threads": 9,
    "started_at": 1.0,
}


def page_of(client: Client, host: dict[str, Any]) -> str:
    Pool.objects.create(
        name="p:1:a", heartbeat_at=timezone.now(), capacity=5, engine_hosts=[{**HOST, **host}]
    )
    return client.get(
        "/admin/whatsapp/pool/p_3A1_3Aa/change/", headers={"Accept-Language": "en"}
    ).content.decode()


@pytest.mark.parametrize(
    ("works", "words"),
    [
        (True, "the last connection succeeded"),
        (False, "the last connection failed"),
        (None, "not used yet"),
    ],
)
def test_a_proxy_is_shown_with_the_last_connection(
    admin_client: Client, works: bool | None, words: str
) -> None:
    page = page_of(admin_client, {"proxy": "proxy.example.com:3128", "proxy_works": works})
    assert "proxy.example.com:3128" in page
    assert words in page


def test_a_row_written_before_proxies_were_known_is_shown_without_one(admin_client: Client) -> None:
    page = page_of(admin_client, {})
    assert "host-1, pid 7" in page
    assert "the last connection" not in page
