"""`manage.py messages`: counts, what waits longest, and telling given up reports again."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from marketplace.models import Company
from tests.marketplace.salons_data import ALMATY, MOSCOW, make_active
from whatsapp.models import Message

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command("messages", *words, stdout=out)
    return out.getvalue()


def make(company: Company, **fields: Any) -> Message:
    name = f"{company.salon_id}:{Message.objects.count()}"
    given: dict[str, Any] = {"source": "operator", "phone": "79161234567", "text": "secret words", **fields}
    return Message.objects.create(external_id=name, **{"session": company.session, **given})


def dead(company: Company, **fields: Any) -> Message:
    url = "https://yclients.com/statuses?token=partner-tok-77"
    given = {"status": "failed", "callback_error": "HTTP 500", "callback_attempts": 41, **fields}
    return make(company, callback_state="dead", callback_url=url, **given)


@pytest.fixture
def moscow() -> Company:
    return make_active()


def test_counts_and_what_waits_longest(moscow: Company) -> None:
    almaty = make_active(ALMATY)
    for minutes in (5, 10):
        make(moscow, not_before=timezone.now() - timedelta(minutes=minutes))
    make(almaty, not_before=timezone.now() - timedelta(minutes=30))
    make(almaty, not_before=timezone.now() + timedelta(minutes=30))
    make(almaty, status="read", wa_message_id="W")
    said = run()
    assert "messages: 4 queued, 1 read" in said
    assert "oldest waiting message: due for 1800 s" in said
    first, second = [line for line in said.splitlines() if line.startswith("  session")]
    assert f"salons {ALMATY}): 1 waiting, the oldest due for 1800 s" in first
    assert f"salons {MOSCOW}): 2 waiting, the oldest due for 600 s" in second


def test_one_salons_messages_for_programs(moscow: Company) -> None:
    make(make_active(ALMATY))
    dead(moscow)
    said = json.loads(run("--salon", str(MOSCOW), "--json"))
    assert {word: number for word, number in said["messages"].items() if number} == {"failed": 1}
    assert said["reports"]["dead"] == 1
    assert (said["oldest_due_seconds"], said["waiting_longest"]) == (None, [])
    assert said["given_up"][0]["error"] == "HTTP 500"


def test_neither_texts_nor_phones_nor_addresses_are_shown(moscow: Company) -> None:
    dead(moscow)
    make(moscow)
    for said in (run(), run("--json")):
        assert not [word for word in ("secret words", "79161234567", "partner-tok") if word in said]


def test_given_up_reports_are_told_again_by_id_by_salon_and_all(moscow: Company) -> None:
    almaty = make_active(ALMATY)
    rows = [dead(moscow), dead(moscow), dead(almaty), dead(almaty)]

    def states() -> list[str]:
        return list(Message.objects.order_by("pk").values_list("callback_state", flat=True))

    assert "1 given up reports are due again" in run("--replay", str(rows[0].pk))
    assert states() == ["due", "dead", "dead", "dead"]
    run("--salon", str(ALMATY), "--replay")
    assert states() == ["due", "dead", "due", "due"]
    run("--replay")
    assert states() == ["due"] * 4


def test_a_message_whose_report_was_not_given_up_is_named(moscow: Company) -> None:
    with pytest.raises(CommandError, match="1 of the messages"):
        run("--replay", str(make(moscow).pk), str(dead(moscow).pk))
    assert Message.objects.filter(callback_state="due").count() == 1


def test_a_pruned_report_stays_given_up(moscow: Company) -> None:
    dead(moscow, pruned_at=timezone.now())
    assert "0 given up reports" in run("--replay")


def test_an_unknown_salon_is_said() -> None:
    with pytest.raises(CommandError, match="never came to us"):
        run("--salon", "1")


def test_a_salon_without_a_session_has_no_messages() -> None:
    Company.objects.create(salon_id=5)
    assert "messages: none" in run("--salon", "5")
