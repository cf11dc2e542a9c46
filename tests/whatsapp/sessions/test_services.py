"""What the rest of the product may ask of a session."""

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from whatsapp.models import Session
from whatsapp.sessions import services

LINKED = {"jid": "79990000001:1@s.whatsapp.net", "phone": "79990000001", "wanted": "linked"}


@pytest.mark.django_db
class TestView:
    def test_a_page_that_opens_starts_a_pairing_attempt(self) -> None:
        session = services.create_session()
        services.view(session=session)
        session.refresh_from_db()
        assert session.wanted == Session.Wanted.LINKED
        assert session.pairing_requested_at is not None

    def test_a_page_that_stays_open_starts_no_second_attempt(self) -> None:
        session = services.create_session()
        services.view(session=session)
        session.refresh_from_db()
        services.view(session=session)
        again = Session.objects.get(pk=session.pk)
        assert again.pairing_requested_at == session.pairing_requested_at
        assert again.viewed_at is not None
        assert session.viewed_at is not None
        assert again.viewed_at >= session.viewed_at

    def test_a_stopped_session_with_a_device_stays_stopped(self) -> None:
        session = Session.objects.create(**{**LINKED, "wanted": "stopped"})
        services.view(session=session)
        session.refresh_from_db()
        assert session.wanted == Session.Wanted.STOPPED

    def test_a_device_that_is_being_removed_is_not_paired_again_before(self) -> None:
        session = Session.objects.create(wanted="unlinked")
        services.view(session=session)
        session.refresh_from_db()
        assert session.wanted == Session.Wanted.UNLINKED

    def test_being_viewed_ends_by_itself(self) -> None:
        session = services.create_session()
        services.view(session=session)
        session.refresh_from_db()
        assert services.is_viewed(session=session)
        session.viewed_at = timezone.now() - services.VIEW_LASTS
        assert not services.is_viewed(session=session)


@pytest.mark.django_db
class TestRequests:
    def test_a_fresh_qr_can_be_asked_for(self) -> None:
        session = services.create_session()
        services.request_qr(session=session)
        session.refresh_from_db()
        assert session.pairing_requested_at != session.pairing_done_at

    def test_a_double_click_asks_once(self) -> None:
        session = services.create_session()
        services.request_qr(session=session)
        with pytest.raises(services.TooSoon) as refused:
            services.request_qr(session=session)
        assert refused.value.retry_after > 0

    def test_a_linked_session_is_never_paired_anew(self) -> None:
        session = Session.objects.create(**LINKED, status="connected")
        with pytest.raises(services.AlreadyLinked):
            services.request_qr(session=session)
        with pytest.raises(services.AlreadyLinked):
            services.request_pairing_code(session=session, phone="+79990000001")

    def test_a_replaced_session_is_brought_back_on_request(self) -> None:
        session = Session.objects.create(**LINKED, status="conflict")
        services.request_qr(session=session)
        session.refresh_from_db()
        assert session.restart_requested_at is not None
        assert session.is_linked

    def test_a_pairing_code_is_asked_for_beside_the_running_qr(self) -> None:
        session = services.create_session()
        services.view(session=session)
        assert services.request_pairing_code(session=session, phone="8 (999) 000-00-01") == "79990000001"

    def test_one_pairing_code_at_a_time(self) -> None:
        session = services.create_session()
        services.request_pairing_code(session=session, phone="+79990000001")
        with pytest.raises(services.TooSoon):
            services.request_pairing_code(session=session, phone="+79990000001")

    def test_unlinking_is_final_even_against_a_later_stop_or_restart(self) -> None:
        session = Session.objects.create(**LINKED, status="connected")
        services.unlink(session=session, reason="uninstalled")
        services.stop(session=session, reason="late")
        services.restart(session=session, reason="late")
        services.resume(session=session, reason="late")
        session.refresh_from_db()
        assert session.wanted == Session.Wanted.UNLINKED

    def test_stop_and_resume(self) -> None:
        session = Session.objects.create(**LINKED, status="connected")
        services.stop(session=session, reason="support")
        session.refresh_from_db()
        assert session.wanted == Session.Wanted.STOPPED
        services.resume(session=session, reason="support")
        session.refresh_from_db()
        assert session.wanted == Session.Wanted.LINKED
        assert [event.kind for event in session.events.order_by("id")] == [
            "stop_requested",
            "resume_requested",
        ]


class TestPhones:
    @pytest.mark.parametrize(
        "typed",
        [
            "+7 999 000-00-01",
            "8 (999) 000-00-01",
            "89990000001",
            "79990000001",
            " 7-999-000-00-01 ",
            "9990000001",
        ],
    )
    def test_any_human_form_of_a_russian_number(self, typed: str) -> None:
        assert services.normalise_phone(typed) == "79990000001"

    def test_other_countries_with_their_code(self) -> None:
        assert services.normalise_phone("+77011234567") == "77011234567"
        assert services.normalise_phone("+375 29 123-45-67") == "375291234567"
        assert services.normalise_phone("375291234567") == "375291234567"

    @pytest.mark.parametrize("typed", ["", "hello", "123", "+7", "+7999", "0" * 40, "<script>", "\x00"])
    def test_what_cannot_be_a_number_is_refused(self, typed: str) -> None:
        with pytest.raises(services.InvalidPhone):
            services.normalise_phone(typed)

    @given(st.text(max_size=60))
    def test_any_text_gives_digits_or_a_refusal(self, typed: str) -> None:
        try:
            digits = services.normalise_phone(typed)
        except services.InvalidPhone:
            return
        assert digits.isascii()
        assert digits.isdigit()


class TestSnapshot:
    def test_a_code_is_shown_only_while_it_can_be_used(self) -> None:
        now = timezone.now()
        session = Session(qr="2@code", qr_expires_at=now + timedelta(seconds=19.5))
        assert services.snapshot(session=session).qr == "2@code"
        assert services.snapshot(session=session).qr_expires_in == 19
        session.qr_expires_at = now
        assert services.snapshot(session=session).qr == ""
        assert services.snapshot(session=session).qr_expires_in == 0
