"""Secrets are replaced while everything runs: nobody is cut off, and the old ones end."""

import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from marketplace.models import Company, InboundWebhook, MarketplaceEvent
from onboarding.linking import tokens
from tests.config.test_settings import PRODUCTION
from tests.environment import clean_environment
from tests.forked_processes import run_forked
from tests.marketplace.notifications.test_intake import post as post_notification
from tests.marketplace.notifications.test_intake import request
from tests.marketplace.salons_data import EKATERINBURG, MOSCOW, make_active
from tests.marketplace.webhook_posts import MOSCOW_WEBHOOK_URL, post
from tests.payloads import load
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = "the-old-secret-key-" + "0" * 20, "the-new-secret-key-" + "1" * 20


def record(number: int) -> dict[str, Any]:
    return load("record_update", company_id=MOSCOW, resource_id=number)


def statuses(number: int) -> tuple[int, int]:
    """What a webhook and a notification of Moscow are answered."""
    notification = request({"id": f"n{number}", "phone": "79990000000"})
    return post(record(number), MOSCOW_WEBHOOK_URL).status_code, post_notification(notification).status_code


def test_keys_and_addresses_outlive_the_secret_key(settings: Settings) -> None:
    settings.SECRET_KEY = OLD
    make_active()
    assert statuses(1) == (200, 200)

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    assert statuses(2) == (200, 200)
    make_active(EKATERINBURG)  # activated during the overlap, and so under the new key
    call_command("rotate_encryption_keys", stdout=StringIO())
    call_command("rotate_encryption_keys", "--check", stdout=StringIO())

    settings.SECRET_KEY_FALLBACKS = []
    assert statuses(3) == (200, 200)
    assert post_notification(request(), key=f"api_key-of-{EKATERINBURG}").status_code == 200


def test_an_open_page_outlives_a_new_secret_of_its_tokens(settings: Settings) -> None:
    company = make_active()
    token = tokens.issue(company=company, companies=[company])
    settings.JWT_SECRET_FALLBACKS, settings.JWT_SECRET = [settings.JWT_SECRET], NEW
    assert tokens.verify(token).salon_id == MOSCOW
    assert tokens.verify(tokens.issue(company=company, companies=[company])).salon_id == MOSCOW
    settings.JWT_SECRET_FALLBACKS = []
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(token)


def test_the_old_key_of_tokens_follows_that_of_the_service(tmp_path: Path) -> None:
    code = "from config import settings as s; print(s.JWT_SECRET_FALLBACKS)"
    environment = {**clean_environment(), "DATA_DIR": str(tmp_path), **PRODUCTION}
    done = run_forked([sys.executable, "-c", code], environment={**environment, "SECRET_KEY_FALLBACKS": OLD})
    assert done.stdout.strip() == f"['onboarding-token:{OLD}']"


def test_without_the_rotation_the_old_secret_key_cannot_be_forgotten(settings: Settings) -> None:
    settings.SECRET_KEY = OLD
    make_active()
    settings.SECRET_KEY = NEW
    assert statuses(1) == (403, 401)


def rotate(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_webhook_secret", *arguments, stdout=out)
    return out.getvalue()


def test_a_new_webhook_address_works_beside_the_old_one() -> None:
    company = make_active()
    said = rotate(str(MOSCOW))
    company.refresh_from_db()
    assert f"/webhook/yclients/{company.webhook_secret}\t" in said
    assert post(record(1), f"/webhook/yclients/{company.webhook_secret}").status_code == 200
    assert post(record(2), MOSCOW_WEBHOOK_URL).status_code == 200
    assert InboundWebhook.objects.filter(company=company).count() == 2
    event = MarketplaceEvent.objects.get(event_type="webhook_address_changed")
    assert company.webhook_secret not in str(event.event_data)


def test_the_old_webhook_address_ends_with_the_overlap() -> None:
    make_active()
    rotate(str(MOSCOW))
    Company.objects.update(old_webhook_secret_until=timezone.now())
    assert post(record(1), MOSCOW_WEBHOOK_URL).status_code == 403


def test_without_an_overlap_the_old_webhook_address_ends_at_once() -> None:
    make_active()
    rotate(str(MOSCOW), "--overlap-days", "0")
    assert post(record(1), MOSCOW_WEBHOOK_URL).status_code == 403


def test_the_old_address_outlives_the_secret_key_too(settings: Settings) -> None:
    settings.SECRET_KEY = OLD
    make_active()
    rotate(str(MOSCOW))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    call_command("rotate_encryption_keys", stdout=StringIO())
    settings.SECRET_KEY_FALLBACKS = []
    assert post(record(1), MOSCOW_WEBHOOK_URL).status_code == 200


def test_all_salons_get_new_addresses_of_their_own() -> None:
    make_active()
    make_active(EKATERINBURG)
    Company.objects.create(salon_id=1)  # never activated: it has none
    lines = rotate("--all").splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(MOSCOW), str(EKATERINBURG)]
    assert len({line.split("\t")[1] for line in lines}) == 2


def test_one_salons_old_address_opens_no_other() -> None:
    make_active()
    make_active(EKATERINBURG)
    rotate("--all")
    assert post({**record(1), "company_id": EKATERINBURG}, MOSCOW_WEBHOOK_URL).status_code == 403


@pytest.mark.parametrize("arguments", [(), ("1",), ("1", "--all"), ("--all", "--overlap-days", "-1")])
def test_a_rotation_that_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        rotate(*arguments)


def test_an_uninstall_ends_both_addresses() -> None:
    company = make_active()
    rotate(str(MOSCOW))
    company.refresh_from_db()
    current = company.webhook_secret
    company.move(to="uninstalled", sources=["active"], **Company.WITHOUT_SECRETS)
    for secret in (current, f"webhook_secret-of-{MOSCOW}"):
        assert post(record(1), f"/webhook/yclients/{secret}").status_code == 403


def test_a_flood_of_one_salon_is_answered_429_and_keeps_nothing(settings: Settings) -> None:
    settings.SALON_QUEUE_LIMIT = 3
    make_active()
    make_active(EKATERINBURG)
    several = [{"id": f"n{number}", "phone": "79990000000"} for number in range(3)]
    assert post_notification(request(*several)).status_code == 200
    refused = post_notification(request({"id": "n4", "phone": "79990000000"}))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert Message.objects.count() == 3
    assert post_notification(request(), key=f"api_key-of-{EKATERINBURG}").status_code == 200
    Message.objects.update(status="failed")
    assert post_notification(request({"id": "n4", "phone": "79990000000"})).status_code == 200
