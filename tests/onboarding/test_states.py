"""Each state of a link has its own words for the owner, in Russian and in English, and a way on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from marketplace.models import Company
from onboarding.cabinet import condition
from tests.onboarding.visitors import Visitor

pytestmark = pytest.mark.django_db(transaction=True)
LINKED: dict[str, Any] = {"jid": "79990000900:1@s.whatsapp.net", "phone": "79990000900", "wanted": "linked"}
AGO = timezone.now() - timedelta(days=3)
PROVEN = {**LINKED, "paired_at": AGO, "stable_at": AGO}
STATES: dict[str, dict[str, Any]] = {
    "fresh": {**LINKED, "status": "connected", "connected_at": timezone.now()},
    "connected": {**PROVEN, "status": "connected", "connected_at": AGO},
    "network": {**PROVEN, "status": "reconnecting", "trouble": "network"},
    "server": {**PROVEN, "status": "reconnecting", "trouble": "server"},
    "unstable": {**PROVEN, "status": "reconnecting", "trouble": "unstable"},
    "broke early": {**LINKED, "status": "reconnecting", "trouble": "network"},
    "conflict": {**PROVEN, "status": "conflict", "trouble": "replaced"},
    "banned": {**PROVEN, "status": "banned", "trouble": "banned", "banned_until": timezone.now()},
    "banned for ever": {**PROVEN, "status": "banned", "trouble": "banned"},
    "outdated": {**PROVEN, "status": "failed", "trouble": "outdated"},
    "keys": {**PROVEN, "status": "failed", "trouble": "credentials"},
    "refused": {**PROVEN, "status": "failed", "trouble": "refused"},
    "stopped": {**PROVEN, "status": "idle", "wanted": "stopped"},
}
LOST = ("logged_out", "phone_gone", "died_early", "credentials", "unlinked")


@pytest.fixture(params=["ru", "en"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def picture(visitor: Visitor, language: str) -> Any:
    headers = {**visitor.bearer, "Accept-Language": language}
    from django.test import Client

    answer = Client().get(f"/marketplace/api/status/company_{visitor.company.salon_id}", headers=headers)
    return answer.json()


def test_no_two_states_share_their_words(moscow: Visitor, pool: None, language: str) -> None:
    said = {}
    for name, fields in STATES.items():
        moscow.pool_writes(trouble="", stable_at=None, connected_at=None, banned_until=None)
        moscow.pool_writes(**fields)
        said[name] = picture(moscow, language)["message"]
    assert len(set(said.values())) == len(said), said
    assert all((language == "ru") == any("а" <= letter <= "я" for letter in each) for each in said.values())


@pytest.mark.parametrize("trouble", LOST)
def test_a_lost_link_says_why_above_the_next_code(
    moscow: Visitor, pool: None, language: str, trouble: str
) -> None:
    moscow.pool_writes(status="logged_out", trouble=trouble)
    first = picture(moscow, language)["lostLink"]
    moscow.shows_qr()
    shown = picture(moscow, language)
    assert shown["hasQR"]
    assert shown["lostLink"] == first
    assert first
    moscow.phone_scans()
    assert picture(moscow, language)["lostLink"] is None


def test_a_salon_that_was_never_linked_has_lost_nothing(moscow: Visitor, pool: None) -> None:
    moscow.shows_qr()
    assert picture(moscow, "ru")["lostLink"] is None


def test_connected_is_shown_at_once_and_stable_after_a_minute(moscow: Visitor, pool: None) -> None:
    moscow.phone_scans()
    shown = picture(moscow, "ru")
    assert (shown["connected"], shown["stable"], shown["settling"]) == (True, False, True)
    moscow.pool_writes(stable_at=timezone.now() + timedelta(seconds=1))
    shown = picture(moscow, "ru")
    assert (shown["connected"], shown["stable"], shown["settling"]) == (True, True, False)
    moscow.pool_writes(status="reconnecting")
    assert picture(moscow, "ru")["stable"] is False


def test_a_device_that_support_stopped_cannot_be_started_from_the_page(moscow: Visitor, pool: None) -> None:
    moscow.pool_writes(**{**PROVEN, "status": "conflict", "wanted": "stopped"})
    assert moscow.post("/marketplace/api/qr", {"renew": True}).status_code == 409
    assert moscow.session.wanted == "stopped"
    assert moscow.session.restart_requested_at is None


def test_use_it_here_again_is_asked_for_once_in_ten_seconds(moscow: Visitor, pool: None) -> None:
    from whatsapp.sessions import services

    moscow.pool_writes(**{**PROVEN, "status": "conflict", "trouble": "replaced"})
    services.request_qr(session=moscow.session)
    first = moscow.session.restart_requested_at
    assert first is not None
    with pytest.raises(services.TooSoon):
        services.request_qr(session=moscow.session)
    assert moscow.session.restart_requested_at == first


@pytest.mark.parametrize(
    ("told", "shown"),
    [("ru", "до 6 декабря 2026 02:30 (UTC+5)"), ("en", "until 6 December 2026 02:30 (UTC+5)")],
)
def test_a_bans_end_is_told_by_the_salons_clock(moscow: Visitor, pool: None, told: str, shown: str) -> None:
    Company.objects.update(timezone_name="Asia/Yekaterinburg")
    until = datetime(2026, 12, 5, 21, 30, tzinfo=UTC)
    moscow.pool_writes(**{**PROVEN, "status": "banned", "trouble": "banned", "banned_until": until})
    assert shown in picture(moscow, told)["message"]
    salon = Company.objects.select_related("session").get(pk=moscow.company.pk)
    with translation.override(told):
        assert shown in condition.describe(salon, pool_running=True).text
