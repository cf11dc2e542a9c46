"""System checks: a production process with missing or contradicting settings does not start."""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register, run_checks
from django.core.exceptions import ImproperlyConfigured

from config.platforms import PLATFORMS
from marketplace.yclients.signing import is_placeholder_token
from whatsapp.engine import proxy

MIN_SECRET_LENGTH = 32
TAG = "startup"
REAL_HOSTS = ("yclients.com", "alteg.io", "altegio.com")


@register(TAG, Tags.security)
def check_secrets(**_kwargs: Any) -> list[CheckMessage]:
    """Production needs its own SECRET_KEY and FIELD_ENCRYPTION_KEYS; keys must be usable anywhere."""
    found: list[CheckMessage] = []
    if not settings.DEBUG:
        given = settings.SECRET_KEY_GIVEN
        if len(given) < MIN_SECRET_LENGTH or given.startswith(("django-insecure", "change", "secret")):
            found.append(
                Error(
                    "SECRET_KEY is missing or is not a real secret.",
                    hint="Set SECRET_KEY to at least 32 random characters.",
                    id="startup.E001",
                )
            )
        if not settings.FIELD_ENCRYPTION_KEYS:
            found.append(
                Error(
                    "FIELD_ENCRYPTION_KEYS is missing: API keys and credentials could not be encrypted.",
                    hint="Make one with: manage.py generate_encryption_key",
                    id="startup.E002",
                )
            )
    for key in settings.FIELD_ENCRYPTION_KEYS:
        try:
            Fernet(key)
        except ValueError:
            found.append(
                Error(
                    "FIELD_ENCRYPTION_KEYS has an entry that is no Fernet key (32 bytes, URL-safe base64).",
                    hint="Make one with: manage.py generate_encryption_key",
                    id="startup.E003",
                )
            )
    return found


@register(TAG)
def check_partner_token(**_kwargs: Any) -> list[CheckMessage]:
    """Without a partner token the service starts, but nobody can connect a salon."""
    token = settings.YCLIENTS_PARTNER_TOKEN
    found: list[CheckMessage] = []
    if is_placeholder_token(token):
        said = "is a placeholder" if token else "is missing"
        found.append(
            Warning(
                f"YCLIENTS_PARTNER_TOKEN {said}: salons that come from the marketplace will be answered 503.",
                hint="Copy the partner token from the YClients developer's cabinet.",
                id="startup.W001",
            )
        )
    if not settings.YCLIENTS_APPLICATION_ID:
        found.append(
            Warning(
                "YCLIENTS_APPLICATION_ID is missing: nothing can be activated.",
                hint="Copy the application's number from the YClients developer's cabinet.",
                id="startup.W002",
            )
        )
    return found


@register(TAG)
def check_sandbox(**_kwargs: Any) -> list[CheckMessage]:
    """A test WhatsApp server never goes together with the real YClients, nor with a forgotten switch."""
    found: list[CheckMessage] = []
    real = " and ".join(_real_addresses())
    if settings.WHATSAPP_SANDBOX and real:
        found.append(
            Error(
                f"WHATSAPP_SANDBOX is on while {real} is the real YClients.",
                hint="Turn WHATSAPP_SANDBOX off, or name a test server there.",
                id="startup.E004",
            )
        )
    given = [
        name
        for name in ("WHATSAPP_PROXY_URL", "WHATSAPP_CA_FILE", "WHATSAPP_NOISE_ROOT")
        if getattr(settings, name)
    ]
    if given and not settings.WHATSAPP_SANDBOX:
        found.append(
            Error(
                f"{', '.join(given)} is set without WHATSAPP_SANDBOX.",
                hint="These lead to a test server. Remove them, or set WHATSAPP_SANDBOX.",
                id="startup.E005",
            )
        )
    if settings.WHATSAPP_ENGINE not in ("neonize", "simulated"):
        found.append(Error("WHATSAPP_ENGINE must be neonize or simulated.", id="startup.E006"))
    if settings.WHATSAPP_ENGINE == "simulated" and real and not settings.DEBUG:
        said = f"WHATSAPP_ENGINE=simulated sends nothing, and {real} is the real YClients."
        found.append(Error(said, id="startup.E007"))
    if not re.fullmatch(r"([0-9a-fA-F]{64})?", settings.WHATSAPP_NOISE_ROOT):
        found.append(Error("WHATSAPP_NOISE_ROOT must be 64 hexadecimal digits.", id="startup.E010"))
    return found


def _real_addresses() -> list[str]:
    """Which of the two address settings lead to the real YClients or Altegio."""

    def is_real(url: str) -> bool:
        host = (urlsplit(url).hostname or "").rstrip(".")
        return any(host == real or host.endswith(f".{real}") for real in REAL_HOSTS)

    names = ("YCLIENTS_API_URL", "YCLIENTS_MARKETPLACE_URL")
    return [name for name in names if is_real(getattr(settings, name))]


@register(TAG)
def check_outgoing_proxy(**_kwargs: Any) -> list[CheckMessage]:
    """The proxy must be one that the library can use; a password on its way there should be encrypted."""
    if not settings.WHATSAPP_OUTGOING_PROXY:
        return []
    try:
        exposed = proxy.exposes_password(settings.WHATSAPP_OUTGOING_PROXY)
    except proxy.InvalidProxy as error:
        hint = "Write it as http://user:password@host:port; https and socks5 work too."
        return [Error(f"WHATSAPP_OUTGOING_PROXY is wrong: {error}.", hint=hint, id="startup.E013")]
    if not exposed:
        return []
    said = "WHATSAPP_OUTGOING_PROXY sends its password unencrypted to another machine."
    return [Warning(said, hint="Use an https:// proxy, or one on this machine.", id="startup.W004")]


@register(TAG)
def check_shape(**_kwargs: Any) -> list[CheckMessage]:
    """Values that would fail later, and less plainly."""
    found: list[CheckMessage] = []
    if settings.PLATFORM not in PLATFORMS:
        found.append(Error(f"YCLIENTS_BRAND must be one of {', '.join(PLATFORMS)}.", id="startup.E012"))
    if settings.YCLIENTS_ACTIVATION_ENDPOINT not in ("redirect", "callback"):
        found.append(Error("YCLIENTS_ACTIVATION_ENDPOINT must be redirect or callback.", id="startup.E008"))
    if min(settings.POOL_CAPACITY, settings.POOL_SHARD_SIZE, settings.POOL_LEASE_SECONDS) < 1:
        found.append(
            Error(
                "POOL_CAPACITY, POOL_SHARD_SIZE and POOL_LEASE_SECONDS must be positive.", id="startup.E009"
            )
        )
    if settings.TRUSTED_PROXIES < 0:
        found.append(Error("TRUSTED_PROXIES must not be negative.", id="startup.E011"))
    if not settings.DEBUG and not settings.SQLITE and not settings.REDIS_URL:
        found.append(
            Warning(
                "REDIS_URL is missing: pages learn of changes by polling the database only.",
                hint="Set REDIS_URL when web and pool are separate processes.",
                id="startup.W003",
            )
        )
    return found


@register(Tags.security, deploy=True)
def check_deployment(**_kwargs: Any) -> list[CheckMessage]:
    """What a machine on the open internet needs and a development machine does not."""
    found: list[CheckMessage] = []
    if len(settings.JWT_SECRET) < MIN_SECRET_LENGTH:
        hint = "Set JWT_SECRET to at least 32 random characters, or leave it out."
        found.append(Error("JWT_SECRET is too short.", hint=hint, id="deploy.E001"))
    if not settings.STAFF_TOTP_REQUIRED:
        hint = "Leave STAFF_TOTP_REQUIRED out."
        found.append(Warning("Staff sign in by a password alone.", hint=hint, id="deploy.W001"))
    database = settings.DATABASES["default"]
    encrypted = database.get("OPTIONS", {}).get("sslmode") in ("require", "verify-ca", "verify-full")
    if not settings.SQLITE and not encrypted:
        hint = "Add ?sslmode=verify-full&sslrootcert=… to DATABASE_URL (sslmode=require encrypts only)."
        found += _without_tls("PostgreSQL", database["HOST"], number="002", hint=hint)
    redis = urlsplit(settings.REDIS_URL)
    if redis.scheme == "redis":
        found += _without_tls("Redis", redis.hostname or "", number="003", hint="Use a rediss:// REDIS_URL.")
    return found


def _without_tls(what: str, host: str, *, number: str, hint: str) -> list[CheckMessage]:
    """An error for another machine; a warning for a bare name, which is a container on this one as a rule."""
    if _is_this_machine(host):
        return []
    said = f"{what} is reached without TLS."
    if "." in host or ":" in host:
        return [Error(said, hint=hint, id=f"deploy.E{number}")]
    return [Warning(said, hint=f"{hint} A container on this machine needs none.", id=f"deploy.W{number}")]


def _is_this_machine(host: str) -> bool:
    """A loopback address or name, or a folder with a Unix socket; nothing means a socket too."""
    if host in ("", "localhost") or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_bad_start() -> None:
    """Run the start-up checks where no management command does: under an ASGI server.

    Raises ImproperlyConfigured with every error and its hint.
    """
    errors = [message for message in run_checks(tags=[TAG]) if message.level >= 40]
    if errors:
        raise ImproperlyConfigured(
            "\n".join(f"{error.id}: {error.msg} {error.hint or ''}" for error in errors)
        )
