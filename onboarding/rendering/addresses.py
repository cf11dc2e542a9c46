"""Addresses that pages lead to and that carry proof of their own."""

from django.core import signing
from django.urls import reverse
from django.utils.http import urlencode

SALON_SALT = "onboarding.payment"
PAYMENT_LASTS = 3600  # seconds


def onboarding_address(token: str) -> str:
    """Where the page of this token is."""
    return f"{reverse('onboarding')}?{urlencode({'token': token})}"


def payment_address(salon_id: int) -> str:
    """Where a browser asks for YClients' payment page of this salon; good for an hour."""
    return f"{reverse('pay')}?{urlencode({'salon': signing.dumps(salon_id, salt=SALON_SALT)})}"


def salon_of_payment(text: str) -> int | None:
    """The salon that a payment address was made for; None when it is forged or an hour old."""
    try:
        number: int = signing.loads(text, salt=SALON_SALT, max_age=PAYMENT_LASTS)
    except signing.BadSignature:
        return None
    return number
