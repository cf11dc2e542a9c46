"""An uninstall is announced by a webhook, and is done only when YClients says so too."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from marketplace.models import Company, Discrepancy, InboundWebhook, UninstallRequest
from marketplace.salons import lifecycle
from marketplace.salons.registration import start_registration
from marketplace.sync import reconciliation, repairs, uninstalls
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, ANDREY, EKATERINBURG, MOSCOW, make_active
from tests.marketplace.webhook_posts import MOSCOW_WEBHOOK_URL, WEBHOOK_URL, events, lifecycle_body, post
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


def install(yclients: LocalYClients, salon_id: int = MOSCOW) -> None:
    """The salon is active at YClients."""
    yclients.press_connect(salon_id)
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=salon_id, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )


@pytest.fixture
def moscow(yclients: LocalYClients) -> Company:
    """Moscow, active here and at YClients."""
    install(yclients)
    return make_active()


def forget(yclients: LocalYClients, salon_id: int = MOSCOW) -> None:
    """YClients answers 404 for the salon's installation."""
    yclients.do(lambda there: setattr(there.marketplace.salon(salon_id), "installation", None))


def ask_yclients() -> None:
    """What the worker does when the time of the requests has come."""
    UninstallRequest.objects.update(next_at=timezone.now(), claimed_until=None)
    for request_id in uninstalls.REQUESTS.due(limit=99):
        uninstalls.check(request_id)


def status(salon_id: int = MOSCOW) -> str:
    return Company.objects.get(salon_id=salon_id).status


def time_passes(how_long: timedelta) -> None:
    for row in UninstallRequest.objects.all():
        for name in ("missing_since", "failing_since"):
            if (since := getattr(row, name)) is not None:
                setattr(row, name, since - how_long)
        row.save()


def uninstall(yclients: LocalYClients) -> None:
    """The owner removes the application, and everything goes well."""
    yclients.change(MOSCOW, "uninstall")
    post(lifecycle_body("uninstall"))
    ask_yclients()


def reinstall(yclients: LocalYClients) -> Company:
    """The owner installs the application again and comes to our page."""
    yclients.press_connect(MOSCOW)
    return start_registration(salon_ids=[MOSCOW], user=ANDREY, signed=True).primary


def test_the_webhook_alone_freezes_and_destroys_nothing(moscow: Company) -> None:
    assert post(lifecycle_body("uninstall")).status_code == 200
    moscow.refresh_from_db()
    session = Session.objects.get()
    assert (moscow.status, bool(moscow.api_key)) == ("frozen", True)
    assert (session.wanted, session.sending_paused) == ("linked", True)
    assert (events("uninstall_requested"), events("frozen"), events("uninstalled")) == (1, 1, 0)
    assert InboundWebhook.objects.get().state == "applied"


def test_what_yclients_calls_uninstalled_is_unlinked_and_destroyed(
    moscow: Company, yclients: LocalYClients
) -> None:
    uninstall(yclients)
    moscow.refresh_from_db()
    assert (moscow.status, moscow.api_key, moscow.webhook_secret) == ("uninstalled", "", "")
    assert (moscow.api_key_digest, moscow.webhook_secret_digest, moscow.session) == (None, None, None)
    assert Session.objects.get().wanted == "unlinked"
    assert events("uninstalled") == 1
    assert not UninstallRequest.objects.exists()


def test_what_yclients_calls_active_is_served_again_and_support_is_told(moscow: Company) -> None:
    post(lifecycle_body("uninstall"))
    ask_yclients()
    moscow.refresh_from_db()
    assert (moscow.status, bool(moscow.api_key)) == ("active", True)
    session = Session.objects.get()
    assert (session.wanted, session.sending_paused) == ("linked", False)
    assert (events("uninstall_denied"), events("unfrozen")) == (1, 1)
    shown = Discrepancy.objects.get()
    assert (shown.kind, shown.salon_id, shown.there) == ("uninstall_denied", MOSCOW, "active")
    assert not UninstallRequest.objects.exists()


def test_what_yclients_calls_frozen_stays_frozen(moscow: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "freeze")
    post(lifecycle_body("uninstall"))
    ask_yclients()
    assert status() == "frozen"
    assert events("uninstall_denied") == 1


def test_an_uninstall_after_a_denied_one_is_no_repeat(moscow: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "freeze")
    lifecycle.freeze(moscow, by="test")
    post(lifecycle_body("uninstall"))
    ask_yclients()
    yclients.change(MOSCOW, "uninstall")
    assert post(lifecycle_body("uninstall")).json()["status"] == "stored"
    ask_yclients()
    assert status() == "uninstalled"


def test_an_unknown_installation_must_be_said_twice(moscow: Company, yclients: LocalYClients) -> None:
    forget(yclients)
    post(lifecycle_body("uninstall"))
    for _number in range(3):
        ask_yclients()
        assert status() == "frozen"
    time_passes(uninstalls.SECOND_QUESTION)
    ask_yclients()
    assert status() == "uninstalled"


def test_unknown_installations_of_many_salons_wait_for_a_person(yclients: LocalYClients) -> None:
    salons = [make_active(number).salon_id for number in range(1, 8)]
    for salon_id in salons:
        post(lifecycle_body("uninstall", salon_id=salon_id))
    ask_yclients()
    time_passes(uninstalls.SECOND_QUESTION)
    ask_yclients()
    gone = [salon_id for salon_id in salons if status(salon_id) == "uninstalled"]
    assert len(gone) <= repairs.MISSING_FREELY
    assert Discrepancy.objects.filter(kind="missing_there").exists()


@pytest.mark.parametrize("fault", ["500", "422", "drop_after"])
def test_without_an_answer_for_a_day_the_webhook_is_believed(
    moscow: Company, yclients: LocalYClients, fault: str
) -> None:
    yclients.fault(fault, endpoint="install_status", until_lifted=True)
    post(lifecycle_body("uninstall"))
    ask_yclients()
    time_passes(uninstalls.BELIEVED_AFTER - timedelta(minutes=5))
    ask_yclients()
    assert status() == "frozen"
    assert UninstallRequest.objects.get().last_error
    time_passes(timedelta(minutes=5))
    ask_yclients()
    assert status() == "uninstalled"


def test_one_answer_in_the_day_ends_the_waiting(moscow: Company, yclients: LocalYClients) -> None:
    yclients.fault("422", endpoint="install_status")
    post(lifecycle_body("uninstall"))
    ask_yclients()
    time_passes(uninstalls.BELIEVED_AFTER)
    ask_yclients()
    assert status() == "active"


def test_our_own_exhausted_calls_are_no_answer_of_yclients(
    moscow: Company, yclients: LocalYClients, settings: object
) -> None:
    post(lifecycle_body("uninstall"))
    settings.YCLIENTS_PARTNER_TOKEN = ""  # type: ignore[attr-defined]
    ask_yclients()
    assert UninstallRequest.objects.get().failing_since is None
    assert status() == "frozen"


def test_a_worker_that_dies_while_asking_leaves_the_request_to_another(
    moscow: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    yclients.change(MOSCOW, "uninstall")
    post(lifecycle_body("uninstall"))
    with monkeypatch.context() as hook:
        hook.setattr(uninstalls, "_settle", _killed)
        with pytest.raises(KeyboardInterrupt):
            ask_yclients()
    assert status() == "frozen"
    assert uninstalls.REQUESTS.due(limit=9) == []
    UninstallRequest.objects.update(claimed_until=timezone.now())
    for request_id in uninstalls.REQUESTS.due(limit=9):
        uninstalls.check(request_id)
    assert status() == "uninstalled"


def _killed(*_arguments: object) -> str:
    raise KeyboardInterrupt


def test_a_payment_does_not_unfreeze_what_is_being_checked(moscow: Company, yclients: LocalYClients) -> None:
    yclients.change(MOSCOW, "uninstall")
    post(lifecycle_body("uninstall"))
    post(lifecycle_body("payment"))
    assert status() == "frozen"
    ask_yclients()
    assert status() == "uninstalled"


def test_the_regular_comparison_leaves_a_requested_uninstall_alone(moscow: Company) -> None:
    post(lifecycle_body("uninstall"))
    reconciliation.make_due(moscow)
    assert reconciliation.due(limit=9) == []


def test_an_operators_comparison_settles_a_requested_uninstall_too(moscow: Company) -> None:
    post(lifecycle_body("uninstall"))
    moscow.refresh_from_db()
    reconciliation.check_now(moscow)
    assert status() == "active"
    assert events("uninstall_denied") == 1
    assert not UninstallRequest.objects.exists()


def test_an_uninstall_leaves_the_other_salons_of_the_session_their_whatsapp(
    moscow: Company, yclients: LocalYClients
) -> None:
    install(yclients, ALMATY)
    make_active(ALMATY, session=moscow.session)
    uninstall(yclients)
    assert status(ALMATY) == "active"
    session = Session.objects.get()
    assert (session.wanted, session.sending_paused) == ("linked", False)
    yclients.change(ALMATY, "uninstall")
    post(lifecycle_body("uninstall", salon_id=ALMATY))
    ask_yclients()
    assert Session.objects.get().wanted == "unlinked"


def test_a_repeated_uninstall_has_no_second_effect_even_on_the_destroyed_address(
    moscow: Company, yclients: LocalYClients
) -> None:
    yclients.change(MOSCOW, "uninstall")
    answers = [
        post(lifecycle_body("uninstall"), MOSCOW_WEBHOOK_URL),
        post(lifecycle_body("uninstall"), WEBHOOK_URL),
    ]
    ask_yclients()
    answers.append(post(lifecycle_body("uninstall"), MOSCOW_WEBHOOK_URL))
    assert [answer.json()["status"] for answer in answers] == ["stored", "repeat", "repeat"]
    assert (events("uninstall_requested"), events("uninstalled")) == (1, 1)


def test_a_reinstall_after_an_uninstall_starts_with_a_session_of_its_own(
    moscow: Company, yclients: LocalYClients
) -> None:
    uninstall(yclients)
    company = reinstall(yclients)
    assert company.status == "pending_whatsapp"
    assert company.session is not None
    assert company.session_id != moscow.session_id
    assert (company.session.wanted, company.session.is_linked) == ("stopped", False)


def test_a_reinstall_that_is_faster_than_the_question_is_an_uninstall_all_the_same(
    moscow: Company, yclients: LocalYClients
) -> None:
    yclients.change(MOSCOW, "uninstall")
    post(lifecycle_body("uninstall"))
    yclients.press_connect(MOSCOW)
    ask_yclients()
    assert status() == "uninstalled"


def test_an_uninstall_after_a_reinstall_is_not_a_repeat(moscow: Company, yclients: LocalYClients) -> None:
    uninstall(yclients)
    reinstall(yclients)
    yclients.change(MOSCOW, "uninstall")
    assert post(lifecycle_body("uninstall")).json()["status"] == "stored"
    ask_yclients()
    assert status() == "uninstalled"
    assert events("uninstalled") == 2


def test_a_late_copy_of_the_old_uninstall_does_not_hit_the_new_installation(
    moscow: Company, yclients: LocalYClients
) -> None:
    uninstall(yclients)
    reinstall(yclients)
    assert post(lifecycle_body("uninstall")).status_code == 200
    ask_yclients()
    assert status() == "pending_whatsapp"
    assert not Discrepancy.objects.exists()


def test_an_uninstall_during_an_activation_is_asked_about(yclients: LocalYClients) -> None:
    make_active(EKATERINBURG, status="activating")
    yclients.press_connect(EKATERINBURG)
    yclients.change(EKATERINBURG, "uninstall")
    post(lifecycle_body("uninstall", salon_id=EKATERINBURG))
    assert status(EKATERINBURG) == "activating"
    ask_yclients()
    assert status(EKATERINBURG) == "uninstalled"


def remove(company: Company) -> None:
    """Support staff ask for the removal."""
    with transaction.atomic():
        current = lifecycle.locked(company.salon_id)
        assert current is not None
        lifecycle.request_removal(current, by="support: olga")


def test_support_removes_the_application_there_and_here(moscow: Company, yclients: LocalYClients) -> None:
    remove(moscow)
    assert status() == "frozen"
    ask_yclients()
    assert (status(), yclients.installation(MOSCOW).status.value) == ("uninstalled", "uninstalled")
    assert Session.objects.get().wanted == "unlinked"
    assert not UninstallRequest.objects.exists()


@pytest.mark.parametrize("fault", ["500", "drop_after", "drop_before", "503"])
def test_a_removal_survives_a_lost_answer(moscow: Company, yclients: LocalYClients, fault: str) -> None:
    yclients.fault(fault, endpoint="uninstall")
    remove(moscow)
    ask_yclients()
    ask_yclients()
    assert (status(), yclients.installation(MOSCOW).status.value) == ("uninstalled", "uninstalled")


def test_a_removal_that_yclients_refuses_ends_with_the_salon_served_again(
    moscow: Company, yclients: LocalYClients
) -> None:
    yclients.fault("422", endpoint="uninstall")
    remove(moscow)
    ask_yclients()
    assert status() == "active"
    assert Discrepancy.objects.get().kind == "uninstall_denied"


def test_a_comparison_does_not_undo_a_removal(moscow: Company) -> None:
    remove(moscow)
    moscow.refresh_from_db()
    reconciliation.check_now(moscow)
    assert status() == "frozen"
    assert UninstallRequest.objects.exists()


def test_the_command_removes_a_salon(moscow: Company, yclients: LocalYClients) -> None:
    call_command("uninstall_salon", str(MOSCOW), stdout=StringIO())
    assert (status(), yclients.installation(MOSCOW).status.value) == ("uninstalled", "uninstalled")
    with pytest.raises(CommandError):
        call_command("uninstall_salon", "5")
