"""What operators type."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from marketplace.models import Company, InboundWebhook
from tests.marketplace.cast import ALMATY, MOSCOW, make_active
from tests.marketplace.outside import LocalYClients

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def keep(salon_id: int = MOSCOW, **fields: object) -> InboundWebhook:
    made = {"kind": "lifecycle", "name": "freeze", "body": {}, "state": "failed", "attempts": 3, **fields}
    number = InboundWebhook.objects.count()
    return InboundWebhook.objects.create(
        dedupe_key=f"k{number}", salon_id=salon_id, next_attempt_at=timezone.now(), **made
    )


def test_a_webhook_is_replayed_by_its_id() -> None:
    make_active()
    webhook = keep(state="applied")
    assert f"webhook {webhook.pk} of salon {MOSCOW}, freeze: applied" in run(
        "replay_webhook", str(webhook.pk)
    )
    assert Company.objects.get().status == "frozen"


def test_all_dead_webhooks_of_one_salon_are_replayed() -> None:
    make_active()
    make_active(ALMATY)
    for salon_id in (MOSCOW, ALMATY):
        keep(salon_id, state="dead")
    assert "1 replayed, 0 failed" in run("replay_webhook", "--state", "dead", "--salon", str(ALMATY))
    assert Company.objects.get(salon_id=MOSCOW).status == "active"
    assert Company.objects.get(salon_id=ALMATY).status == "frozen"


def test_a_webhook_that_fails_again_is_said_to() -> None:
    make_active(status="activating")
    webhook = keep()
    with pytest.raises(CommandError, match="failed again"):
        run("replay_webhook", str(webhook.pk))


@pytest.mark.parametrize("words", [[], ["1", "--state", "dead"], ["987654"]])
def test_a_replay_of_nothing_is_refused(words: list[str]) -> None:
    with pytest.raises(CommandError):
        run("replay_webhook", *words)


def test_an_activation_is_retried(connected: Company, yclients: LocalYClients) -> None:
    Company.objects.update(status="activation_failed")
    said = run("retry_activation", str(MOSCOW))
    assert said == f"Salon {MOSCOW} is active, YClients said 301.\n"
    assert "is active" in run("retry_activation", str(MOSCOW))
    connected.refresh_from_db()
    assert yclients.installation(MOSCOW).api_keys == [connected.api_key]


def test_why_an_activation_failed_is_said(registered: Company) -> None:
    with pytest.raises(CommandError, match="WhatsApp is not connected"):
        run("retry_activation", str(MOSCOW))
    with pytest.raises(CommandError, match="never came"):
        run("retry_activation", "5")
