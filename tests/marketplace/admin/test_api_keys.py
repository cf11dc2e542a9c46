"""Keys of the public API on the pages of support staff."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.support_group import make_support_group
from marketplace.api.keys import create_key, find_key
from marketplace.models import ApiKey
from tests.marketplace.salons_data import EKATERINBURG, MOSCOW, make_active

pytestmark = pytest.mark.django_db
ADD = "/admin/marketplace/apikey/add/"


@pytest.fixture
def support() -> Client:
    user = User.objects.create_user("anna", is_staff=True)
    user.groups.add(make_support_group())
    client = Client()
    client.force_login(user)
    return client


def test_a_key_is_made_for_named_salons_and_shown_once(support: Client) -> None:
    make_active()
    make_active(EKATERINBURG)
    salons = f"{MOSCOW}, {EKATERINBURG}"
    answer = support.post(ADD, {"name": "bot", "salons": salons, "scopes": ["messages:send"]})
    shown = re.search(r"wsk_\w+_[\w-]+", answer.content.decode())
    assert shown is not None
    row = find_key(shown.group())
    assert row is not None
    assert (row.scopes, row.companies.count(), row.created_by) == (["messages:send"], 2, "anna")
    for path in ("", f"{row.pk}/change/"):
        assert shown.group() not in support.get(f"/admin/marketplace/apikey/{path}").content.decode()


@pytest.mark.parametrize("salons", ["", "1", f"{MOSCOW}, 1", "abc", "²"])
def test_a_key_for_unknown_salons_is_not_made(support: Client, salons: str) -> None:
    make_active()
    answer = support.post(ADD, {"name": "bot", "salons": salons, "scopes": ["messages:send"]})
    assert answer.status_code == 200
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_after_a_confirmation(support: Client) -> None:
    row, key = create_key(name="bot", companies=[make_active()], scopes=["messages:send"])
    address = f"/admin/marketplace/apikey/operate/revoke/?id={row.pk}"
    assert support.get(address).status_code == 200
    assert find_key(key) is not None
    support.post("/admin/marketplace/apikey/operate/revoke/", {"id": row.pk})
    assert find_key(key) is None


def test_who_may_only_look_makes_no_keys() -> None:
    make_active()
    client = Client()
    client.force_login(User.objects.create_user("rita", is_staff=True))
    assert client.post(ADD, {"name": "x", "salons": MOSCOW, "scopes": ["messages:send"]}).status_code == 403
    assert not ApiKey.objects.exists()
