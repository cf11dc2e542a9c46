"""Keys: made once, known by their hash, ended by time or by hand."""

from datetime import timedelta

import pytest
from django.utils import timezone

from marketplace.api.keys import create_key, find_key, revoke_key
from marketplace.models import ApiKey
from tests.marketplace.salons_data import make_active

pytestmark = pytest.mark.django_db


def new_key(**fields: object) -> tuple[ApiKey, str]:
    return create_key(name="bot", companies=[make_active()], scopes=["messages:send"], **fields)  # type: ignore[arg-type]


def test_a_key_is_found_and_its_use_noted() -> None:
    row, key = new_key()
    assert find_key(key) == row
    row.refresh_from_db()
    assert row.last_used_at is not None


def test_the_row_does_not_hold_the_key() -> None:
    row, key = new_key()
    kept = " ".join(str(value) for value in ApiKey.objects.values_list().get(pk=row.pk))
    assert key.rpartition("_")[2] not in kept


def test_an_expired_key_is_nobodys() -> None:
    row, key = new_key(expires_at=timezone.now() + timedelta(hours=1))
    assert find_key(key) == row
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert find_key(key) is None


def test_a_revoked_key_is_nobodys_at_once() -> None:
    row, key = new_key()
    assert revoke_key(row)
    assert find_key(key) is None
    assert not revoke_key(row)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "",
        lambda key: key[:-1],
        lambda key: key + "x",
        lambda key: key.replace("wsk_", "xyz_"),
        lambda key: "wsk_" + "0" * 12 + "_" + key.rpartition("_")[2],
        lambda key: key * 10,
        lambda key: key[:-1] + "ж",
    ],
)
def test_a_forged_key_is_nobodys(change: object) -> None:
    _row, key = new_key()
    assert find_key(change(key)) is None  # type: ignore[operator]


def test_a_key_needs_a_salon_and_known_scopes() -> None:
    with pytest.raises(ValueError, match="needs salons"):
        create_key(name="x", companies=[], scopes=["messages:send"])
    with pytest.raises(ValueError, match="known scopes"):
        create_key(name="x", companies=[make_active()], scopes=["everything"])
