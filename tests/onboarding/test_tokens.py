"""The onboarding token: what is accepted, and every way of forging one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings

from marketplace.models import Company
from onboarding.linking import tokens
from tests.onboarding.visitors import forge

pytestmark = pytest.mark.django_db


@pytest.fixture
def company() -> Company:
    return Company.objects.create(salon_id=307626, title="Barbershop on Tverskaya")


def test_an_issued_token_says_whom_it_speaks_for(company: Company) -> None:
    other = Company.objects.create(salon_id=41)
    found = tokens.verify(tokens.issue(company=company, companies=[company, other]))
    assert (found.company_id, found.salon_id, found.salon_ids) == (company.pk, 307626, (41, 307626))
    assert found.session_name == "company_307626"


def test_it_lasts_an_hour_and_is_of_its_own_type(company: Company) -> None:
    token = tokens.issue(company=company, companies=[company])
    claims = jwt.decode(token, settings.JWT_SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["type"] == "marketplace_registration"
    assert claims["jti"]


def test_a_token_without_a_list_covers_one_salon() -> None:
    assert tokens.verify(forge()).salon_ids == (307626,)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "abc",
        "a.b.c",
        "eyJhbGciOiJub25lIn0..",
        "é" * 20,
        "x" * 5000,
    ],
)
def test_nonsense_is_refused(token: str) -> None:
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(token)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "another-secret-of-sufficient-length-000000"},
        {"algorithm": "HS512"},
        {"algorithm": "none", "secret": ""},
        {"type": "access"},
        {"type": None},
        {"exp": datetime.now(UTC) - timedelta(seconds=1)},
        {"exp": None},
        {"exp": 10**20},
        {"jti": None},
        {"company_id": None},
        {"company_id": "1"},
        {"company_id": True},
        {"salon_id": -5},
        {"salon_id": 2**70},
        {"salon_ids": "307626"},
        {"salon_ids": [1, 2]},
        {"salon_ids": [307626, "2"]},
    ],
)
def test_a_forged_token_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(forge(**changes))


def test_a_changed_claim_breaks_the_signature() -> None:
    head, _body, signature = forge().split(".")
    body = forge(salon_id=999).split(".")[1]
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(f"{head}.{body}.{signature}")
