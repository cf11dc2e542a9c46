"""Support's list of users who want a salon that belongs to somebody else, and the decision."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from config.support_group import make_support_group
from marketplace.models import AccessRequest, MarketplaceEvent
from marketplace.salons import ownership
from marketplace.salons.ownership import Visitor
from marketplace.yclients.signing import MarketplaceUser
from tests.marketplace.salons_data import make_active

pytestmark = pytest.mark.django_db

LIST = "/admin/marketplace/accessrequest/"
MARIA = Visitor(MarketplaceUser(id="7", name="Мария", phone="79995554433"), signed=True)


@pytest.fixture
def support() -> Client:
    user = User.objects.create_user("anna", is_staff=True)
    user.groups.add(make_support_group())
    client = Client(headers={"Accept-Language": "ru"})
    client.force_login(user)
    return client


@pytest.fixture
def request_of_maria() -> AccessRequest:
    """Maria came for a salon that Andrey has activated."""
    return ownership.record_request(make_active(), MARIA)


def test_an_open_request_is_listed_in_russian_without_the_whole_phone(
    support: Client, request_of_maria: AccessRequest
) -> None:
    page = support.get(f"{LIST}?state=open").content.decode()
    assert "Мария" in page
    assert "салон другого пользователя" in page
    assert "79995554433" not in page


def test_one_click_lets_the_user_in_for_an_hour_and_is_written_down(
    support: Client, request_of_maria: AccessRequest
) -> None:
    address = f"{LIST}operate/approve-access/"
    assert (
        "Открыть доступ этому пользователю"
        in support.get(f"{address}?id={request_of_maria.pk}").content.decode()
    )
    support.post(address, {"id": request_of_maria.pk, "reason": "звонила"})
    request_of_maria.refresh_from_db()
    left = (request_of_maria.approved_until or timezone.now()) - timezone.now()
    assert 3500 < left.total_seconds() <= 3600
    assert ownership.is_approved(request_of_maria.company, MARIA.holder)
    event = MarketplaceEvent.objects.get(event_type="access_approved")
    assert event.event_data["by"] == "support: anna: звонила"
    assert "Мария" not in support.get(f"{LIST}?state=open").content.decode().partition("result_list")[2]


def test_staff_that_may_only_look_cannot_approve(request_of_maria: AccessRequest) -> None:
    client = Client()
    client.force_login(User.objects.create_user("rita", is_staff=True))
    assert client.post(f"{LIST}operate/approve-access/", {"id": request_of_maria.pk}).status_code == 403
    request_of_maria.refresh_from_db()
    assert request_of_maria.approved_until is None
