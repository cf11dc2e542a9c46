"""What operators type."""

import json
from functools import partial
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from marketplace.models import Company, CompanyCheck, Discrepancy, InboundWebhook
from marketplace.yclients import call_errors
from marketplace.yclients.api import Installation, YClients
from marketplace.yclients.call_errors import Kind, YClientsError
from sandbox.yclients import SandboxYClients
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, MOSCOW, make_active

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def store_webhook(salon_id: int = MOSCOW, **fields: object) -> InboundWebhook:
    made = {"kind": "lifecycle", "name": "freeze", "body": {}, "state": "failed", "attempts": 3, **fields}
    number = InboundWebhook.objects.count()
    return InboundWebhook.objects.create(
        dedupe_key=f"k{number}", salon_id=salon_id, next_attempt_at=timezone.now(), **made
    )


def test_a_webhook_is_replayed_by_its_id() -> None:
    make_active()
    webhook = store_webhook(state="applied")
    assert f"webhook {webhook.pk} of salon {MOSCOW}, freeze: applied" in run(
        "replay_webhook", str(webhook.pk)
    )
    assert Company.objects.get().status == "frozen"


def test_all_dead_webhooks_of_one_salon_are_replayed() -> None:
    make_active()
    make_active(ALMATY)
    for salon_id in (MOSCOW, ALMATY):
        store_webhook(salon_id, state="dead")
    assert "1 replayed, 0 failed" in run("replay_webhook", "--state", "dead", "--salon", str(ALMATY))
    assert Company.objects.get(salon_id=MOSCOW).status == "active"
    assert Company.objects.get(salon_id=ALMATY).status == "frozen"


def test_a_webhook_that_fails_again_is_said_to() -> None:
    make_active(status="activating")
    webhook = store_webhook()
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


# --- reconcile_marketplace ------------------------------------------------------------------------------


def activate_there(there: SandboxYClients, *, salon_id: int) -> None:
    there.marketplace.activate(salon_id=salon_id, api_key="k", webhook_urls=[], channels=["whatsapp"])


def install(yclients: LocalYClients, *salon_ids: int) -> None:
    for salon_id in salon_ids:
        yclients.press_connect(salon_id)
        yclients.do(partial(activate_there, salon_id=salon_id))


def reconcile(*words: str) -> tuple[str, int]:
    """What the command says, and its exit code."""
    out = StringIO()
    try:
        call_command("reconcile_marketplace", *words, stdout=out, stderr=out)
    except CommandError as error:
        return out.getvalue(), error.returncode
    return out.getvalue(), 0


def test_everything_agrees(yclients: LocalYClients) -> None:
    make_active()
    install(yclients, MOSCOW)
    assert reconcile() == ("1 agree, 0 repaired, 0 differ; YClients lists 1\n", 0)


def test_what_is_certain_is_repaired_and_the_rest_is_listed(yclients: LocalYClients) -> None:
    make_active()
    install(yclients, MOSCOW, ALMATY)
    yclients.change(MOSCOW, "freeze")
    said, code = reconcile()
    assert f"salon {MOSCOW}: active here, freezed there: frozen" in said
    assert f"salon {ALMATY}: installed in YClients, unknown here" in said
    assert "0 agree, 1 repaired, 1 differ; YClients lists 2" in said
    assert code == 3
    assert Company.objects.get().status == "frozen"


def test_programs_get_one_json_object(yclients: LocalYClients) -> None:
    make_active()
    install(yclients, MOSCOW, ALMATY)
    yclients.change(MOSCOW, "freeze")
    said, code = reconcile("--json")
    report = json.loads(said.splitlines()[0])
    assert (report["repaired"], report["differ"], report["listed"], code) == (1, 1, 2, 3)
    assert {row["salon_id"]: row["action"] for row in report["salons"]} == {
        MOSCOW: "frozen",
        ALMATY: "unknown_here",
    }


def test_a_dry_run_changes_nothing(yclients: LocalYClients) -> None:
    make_active()
    install(yclients, MOSCOW, ALMATY)
    yclients.change(MOSCOW, "freeze")
    said, code = reconcile("--dry-run")
    assert f"salon {MOSCOW}: active here, freezed there: freeze" in said
    assert code == 3
    assert Company.objects.get().status == "active"
    assert not CompanyCheck.objects.exists()
    assert not Discrepancy.objects.exists()


def test_an_operator_who_waits_gets_the_second_look_at_once(yclients: LocalYClients) -> None:
    make_active()
    said, code = reconcile("--salon", str(MOSCOW))
    assert f"salon {MOSCOW}: active here, absent there: uninstalled" in said
    assert (code, Company.objects.get().status) == (0, "uninstalled")
    assert len(yclients.calls("install_status")) == 2


def test_many_uninstalls_at_once_need_a_persons_word(yclients: LocalYClients) -> None:
    salons = range(1001, 1005)
    for salon_id in salons:
        make_active(salon_id)
    said, code = reconcile()
    assert said.count("held back") == len(salons)
    assert code == 3
    assert not Company.objects.filter(status="uninstalled").exists()
    said, code = reconcile("--confirm-uninstalls")
    assert said.count(": uninstalled") == len(salons)
    assert code == 0


def test_a_run_that_yclients_cut_short_goes_on_with_the_next(
    yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_errors, "FIRST_PAUSE", 0.001)
    salons = range(1001, 1007)
    for salon_id in salons:
        make_active(salon_id)
    asked: list[int] = []
    heal: list[bool] = []

    def installation(_self: YClients, salon_id: int) -> Installation:
        asked.append(salon_id)
        if not heal and 3 <= len(asked) <= 5:
            raise YClientsError(Kind.UNAVAILABLE, "", status=503)
        return Installation("active")

    monkeypatch.setattr(YClients, "installation", installation)
    said, code = reconcile()
    assert "run it again" not in said
    assert (len(asked), code) == (5, 1)
    asked.clear()
    heal.append(True)
    assert reconcile()[1] == 0
    assert asked[:4] == [1003, 1004, 1005, 1006]


@pytest.mark.parametrize("salon", ["5", str(MOSCOW)])
def test_a_salon_that_cannot_be_compared_is_refused(salon: str) -> None:
    Company.objects.create(salon_id=MOSCOW)
    with pytest.raises(CommandError):
        run("reconcile_marketplace", "--salon", salon)
