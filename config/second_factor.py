"""The second step of staff's sign-in: a code of an authenticator app (TOTP), or one of ten recovery codes.

Built on django-otp: it checks the codes, lets none be used twice, and slows down who guesses. Whoever signs
in for the first time is led to the enrolment.
"""

import secrets
from base64 import b32encode

import django_otp
import segno
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from whatsapp.crypto.encryption import lookup_digests

RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 random bits, 16 letters and digits
DEVICE_NAME, CODES_NAME = "authenticator", "recovery codes"


def is_satisfied(request: HttpRequest) -> bool:
    """The second step was done in this session, or the settings ask for none."""
    return not settings.STAFF_TOTP_REQUIRED or bool(request.user.is_verified())  # type: ignore[union-attr]


def device_of(user: User) -> TOTPDevice | None:
    """The authenticator that this user has confirmed."""
    device: TOTPDevice | None = TOTPDevice.objects.filter(user=user, confirmed=True).first()
    return device


def verify(request: HttpRequest, user: User, code: str) -> bool:
    """Check a code of the app or a recovery code; a right one completes this session's sign-in."""
    code = "".join(code.split()).replace("-", "").lower()
    if code.isdigit():
        device, token = device_of(user), code
    else:
        device = StaticDevice.objects.filter(user=user, confirmed=True).first()
        token = _stored_form(user, device, code)
    if device is None or not django_otp.verify_token(user, device.persistent_id, token):
        return False
    _complete(request, device)
    return True


def enrolment_of(user: User) -> TOTPDevice:
    """The authenticator that waits for its first code; made when there is none."""
    device: TOTPDevice
    device, _made = TOTPDevice.objects.get_or_create(
        user=user, confirmed=False, defaults={"name": DEVICE_NAME}
    )
    return device


def confirm(request: HttpRequest, user: User, code: str) -> list[str]:
    """Enrol by the first code of the app; return the recovery codes, or nothing when the code is wrong."""
    device = enrolment_of(user)
    if not django_otp.verify_token(user, device.persistent_id, "".join(code.split())):
        return []
    with transaction.atomic():
        # Of two enrolments at the same time one is confirmed, and no second authenticator comes beside one.
        User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        if device_of(user) is not None:
            return []
        TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
        codes = new_recovery_codes(user)
    device.refresh_from_db()
    _complete(request, device)
    return codes


@transaction.atomic
def new_recovery_codes(user: User) -> list[str]:
    """Replace the user's recovery codes; return them as they are to be written down."""
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name=CODES_NAME)
    made = [b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    for code in made:
        device.token_set.create(token=_digests(user, code)[0])
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in made]


def reset(user: User) -> None:
    """Forget the authenticator and the codes: the next sign-in leads to the enrolment."""
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()


def qr_of(device: TOTPDevice) -> str:
    """The address that apps scan, as a picture in a data: address."""
    return segno.make(device.config_url, error="m").svg_data_uri(scale=5, border=2)


def key_of(device: TOTPDevice) -> str:
    """The key for typing it into an app by hand, in groups of four."""
    key = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(key[at : at + 4] for at in range(0, len(key), 4))


def _stored_form(user: User, device: StaticDevice | None, code: str) -> str:
    """What the database has of a recovery code, made with SECRET_KEY or one of its fallbacks."""
    digests = _digests(user, code)
    if device is None:
        return digests[0]
    return str(
        device.token_set.filter(token__in=digests).values_list("token", flat=True).first() or digests[0]
    )


def _digests(user: User, code: str) -> list[str]:
    """The database holds no code that somebody could use; django-otp has room for 16 characters."""
    return [digest[:16] for digest in lookup_digests(f"recovery code of {user.pk}: {code}")]


def _complete(request: HttpRequest, device: TOTPDevice | StaticDevice) -> None:
    request.session.cycle_key()
    django_otp.login(request, device)
