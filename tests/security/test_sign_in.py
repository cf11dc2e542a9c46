"""Staff's sign-in under attack: guessed passwords, guessed and stolen codes, left-open browsers."""

import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from config import sessions, sign_in
from config.shared import rate_limits
from tests.config.test_settings import PRODUCTION
from tests.environment import clean_environment
from tests.forked_processes import run_forked

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "long words of anna 7"
OTHER = "203.0.113.77"


@pytest.fixture(autouse=True)
def _nobody_tried_yet(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STAFF_TOTP_REQUIRED = False
    rate_limits.forget()


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", password=PASSWORD, is_staff=True, is_superuser=True)


def attempt(username: str = "anna", password: str = "", address: str = "203.0.113.9") -> int:
    """Try to sign in and return the answer's status: 302 in, 200 the form again, 429 too often."""
    tried = Client(REMOTE_ADDR=address).post(
        "/admin/login/", {"username": username, "password": password or "wrong"}
    )
    return int(tried.status_code)


# --- The first step -------------------------------------------------------------------------------


def test_forty_parallel_tries_pass_no_limit(anna: User) -> None:
    def one(_number: int) -> int:
        try:
            return attempt()
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(one, range(40)))
    assert (answers.count(200), answers.count(429)) == (5, 35)


def test_one_account_is_spared_from_many_addresses(anna: User) -> None:
    assert {attempt(address=f"203.0.113.{number}") for number in range(5)} == {200}
    assert attempt(password=PASSWORD, address=OTHER) == 429
    assert attempt("Anna ", PASSWORD, OTHER) == 429  # the same account, whatever its writing


def test_one_address_may_not_try_many_accounts(anna: User) -> None:
    assert {attempt(f"nobody-{number}") for number in range(10)} == {200}
    assert attempt(password=PASSWORD) == 429
    assert attempt(password=PASSWORD, address=OTHER) == 302


def test_the_addresses_of_one_ipv6_network_count_as_one(anna: User) -> None:
    answers = [attempt(f"nobody-{number}", address=f"2001:db8:1:2::{number}") for number in range(11)]
    assert answers == [200] * 10 + [429]
    assert attempt("nobody-else", address="2001:db8:1:3::1") == 200


def test_the_answer_says_when_to_try_again(anna: User) -> None:
    for _try in range(5):
        attempt()
    refused = Client().post("/admin/login/", {"username": "anna", "password": PASSWORD})
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_pauses_of_one_account_grow() -> None:
    lengths = [limit.get_expiry() for limit in sign_in.ACCOUNT_LIMITS]
    rates = [limit.amount / limit.get_expiry() for limit in sign_in.ACCOUNT_LIMITS]
    assert lengths == sorted(lengths)
    assert rates == sorted(rates, reverse=True)


def test_the_right_password_forgets_the_account_s_tries(anna: User) -> None:
    for _round in range(3):
        assert [attempt(address=f"203.0.113.{number}") for number in range(4)] == [200] * 4
        assert attempt(password=PASSWORD, address=OTHER) == 302


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9/0"])
def test_tries_are_counted_while_redis_is_away(url: str, anna: User, settings: Settings) -> None:
    settings.REDIS_URL = url
    assert [attempt() for _try in range(6)] == [200] * 5 + [429]


def test_sign_ins_are_written_into_the_history(anna: User, caplog: pytest.LogCaptureFixture) -> None:
    attempt()
    attempt(password=PASSWORD)
    attempt("nobody")
    said = list(LogEntry.objects.order_by("pk").values_list("object_id", "change_message"))
    who = str(anna.pk)
    assert said == [(who, "wrong password (203.0.113.9)"), (who, "password accepted (203.0.113.9)")]
    assert caplog.text.count("sign-in refused") == 2
    assert PASSWORD not in caplog.text


# --- The second step ------------------------------------------------------------------------------


def code_of(device: TOTPDevice, steps: int = 0) -> str:
    """What the app shows now, or so many steps of 30 s later."""
    return _code_at(device, time.time() + 30 * steps)


def last_code_of(device: TOTPDevice) -> str:
    """The code that was taken last; the app may show the next one by now."""
    return _code_at(device, device.t0 + device.step * device.last_t)


def _code_at(device: TOTPDevice, moment: float) -> str:
    totp = TOTP(device.bin_key)
    totp.time = moment
    return f"{totp.token():06}"


@pytest.fixture
def strict(settings: Settings) -> None:
    settings.STAFF_TOTP_REQUIRED = True


def signed_in() -> Client:
    """A browser after the first step."""
    client = Client()
    assert client.post("/admin/login/", {"username": "anna", "password": PASSWORD}).status_code == 302
    return client


def enrol(client: Client) -> list[str]:
    """Set up the second step and return the recovery codes."""
    client.get("/admin/second-factor/")
    device = TOTPDevice.objects.get(confirmed=False)
    page = client.post("/admin/second-factor/", {"code": code_of(device)})
    return re.findall(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b", page.content.decode())


def give(client: Client, code: str) -> int:
    return int(client.post("/admin/second-factor/", {"code": code}).status_code)


@pytest.mark.usefixtures("strict")
def test_a_password_alone_opens_no_page(anna: User) -> None:
    client = signed_in()
    for address in ("/admin/", "/admin/whatsapp/session/", "/admin/auth/user/", "/admin/recovery-codes/"):
        assert client.get(address)["Location"].startswith("/admin/login/"), address
        assert client.post(address).status_code == 302, address
    assert client.get("/admin/login/")["Location"] == "/admin/second-factor/"


@pytest.mark.usefixtures("strict")
def test_the_first_sign_in_sets_the_second_step_up(anna: User) -> None:
    client = signed_in()
    page = client.get("/admin/login/?next=/admin/whatsapp/session/", follow=True)
    assert 'src="data:image/svg+xml' in page.content.decode()
    assert not re.search(r"<[^>]+\sstyle=|<style|<script(?![^>]*\ssrc=)", page.content.decode())
    assert len(set(enrol(client))) == 10
    assert client.get("/admin/").status_code == 200


@pytest.mark.usefixtures("strict")
def test_later_sign_ins_ask_for_a_code_that_works_once(anna: User) -> None:
    enrol(signed_in())
    device = TOTPDevice.objects.get()
    client = signed_in()
    assert "data:image/svg" not in client.get("/admin/second-factor/").content.decode()
    assert give(client, last_code_of(device)) == 200  # the enrolment used it
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    code = code_of(device, steps=1)
    assert give(client, code) == 302
    assert client.get("/admin/").status_code == 200
    assert give(signed_in(), code) == 200


@pytest.mark.usefixtures("strict")
def test_a_recovery_code_lets_in_once(anna: User) -> None:
    codes = enrol(signed_in())
    client = signed_in()
    assert give(client, codes[0].upper()) == 302
    assert client.get("/admin/").status_code == 200
    assert give(signed_in(), codes[0]) == 200


@pytest.mark.usefixtures("strict")
def test_a_recovery_code_outlives_the_secret_key_and_is_not_in_the_database(
    anna: User, settings: Settings
) -> None:
    settings.SECRET_KEY = "the-old-secret-key-" + "0" * 20
    code, *_others = enrol(signed_in())
    stored = set(StaticToken.objects.values_list("token", flat=True))
    assert not stored & {code, code.replace("-", "")}
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-new-secret-key-" + "1" * 20
    assert give(signed_in(), code) == 302


@pytest.mark.usefixtures("strict")
def test_new_recovery_codes_end_the_old_ones(anna: User) -> None:
    client = signed_in()
    [old, *_others] = enrol(client)
    assert old not in client.get("/admin/recovery-codes/").content.decode()
    page = client.post("/admin/recovery-codes/").content.decode()
    assert len(set(re.findall(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b", page))) == 10
    assert give(signed_in(), old) == 200


@pytest.mark.usefixtures("strict")
def test_codes_are_not_guessed(anna: User) -> None:
    enrol(signed_in())
    client = signed_in()
    answers = [give(client, f"{number:06}") for number in range(6)]
    assert answers[-1] == 429
    # The right password gives no new tries, and the device itself refuses even the right code for a while.
    assert client.post("/admin/login/", {"username": "anna", "password": PASSWORD}).status_code == 429
    rate_limits.forget()
    sign_in.forgive("anna")
    device = TOTPDevice.objects.get()
    assert device.throttling_failure_count
    # A while that is not over before the next line, however slow this machine is.
    device.throttling_failure_count, device.throttling_failure_timestamp = 12, timezone.now()
    device.save()
    assert give(client, code_of(device, steps=1)) in (200, 429)
    assert client.get("/admin/").status_code == 302


@pytest.mark.usefixtures("strict")
def test_another_s_authenticator_does_not_complete_a_sign_in(anna: User) -> None:
    enrol(signed_in())
    boris = User.objects.create_user("boris", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(boris)
    session = client.session
    session["otp_device_id"] = TOTPDevice.objects.get().persistent_id
    session.save()
    assert client.get("/admin/").status_code == 302


@pytest.mark.usefixtures("strict")
def test_somebody_who_knows_the_password_cannot_enrol_beside_an_authenticator(anna: User) -> None:
    enrol(signed_in())
    thief = signed_in()
    TOTPDevice.objects.create(user=anna, confirmed=False, name="left over")
    give(thief, code_of(TOTPDevice.objects.get(confirmed=False)))
    assert thief.get("/admin/").status_code == 302
    assert TOTPDevice.objects.filter(confirmed=True).count() == 1


@pytest.mark.usefixtures("strict")
def test_a_lost_phone_is_reset_by_an_operator(anna: User) -> None:
    client = signed_in()
    enrol(client)
    call_command("reset_second_factor", "anna", stdout=StringIO())
    assert client.get("/admin/").status_code == 302
    assert len(enrol(signed_in())) == 10
    with pytest.raises(CommandError):
        call_command("reset_second_factor", "nobody")


@pytest.mark.usefixtures("strict")
def test_the_way_back_leads_to_no_other_site(anna: User) -> None:
    enrol(signed_in())
    client, device = signed_in(), TOTPDevice.objects.get()
    given = {"code": code_of(device, steps=1), "next": "https://evil.example/"}
    assert client.post("/admin/second-factor/", given)["Location"] == "/admin/"


# --- Sessions, cookies, passwords -----------------------------------------------------------------


def test_a_sign_in_ends_after_twelve_hours_and_after_half_an_hour_of_silence(anna: User) -> None:
    client = signed_in()
    assert client.get("/admin/").status_code == 200
    assert client.cookies["sessionid"]["max-age"] == 1800
    session = client.session
    session[sessions.SIGNED_IN_AT] -= sessions.LONGEST.total_seconds() + 1
    session.save()
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/").status_code == 200


def test_a_session_of_unknown_age_is_too_old(anna: User) -> None:
    client = signed_in()
    session = client.session
    del session[sessions.SIGNED_IN_AT]
    session.save()
    assert client.get("/admin/").status_code == 302


def test_cookies_on_https_are_of_this_host_alone(tmp_path: Path) -> None:
    code = (
        "from config import settings as s; "
        "print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.STAFF_TOTP_REQUIRED)"
    )
    environment = {**clean_environment(), "DATA_DIR": str(tmp_path), **PRODUCTION}
    done = run_forked([sys.executable, "-c", code], environment=environment)
    assert done.stdout.split() == ["__Host-sessionid", "__Host-csrftoken", "True", "True"]


@pytest.mark.parametrize("password", ["Kq7_vR2-pLx", "password1234", "qwertyuiop123", "739182645019"])
def test_short_and_common_passwords_are_refused(password: str, anna: User) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, anna)


def test_a_long_password_is_taken(anna: User) -> None:
    validate_password("long words of spring 7", anna)
