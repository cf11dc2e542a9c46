"""All settings; the only place that reads the environment (the README's table describes each variable).

Two shapes of one product:
- embedded default: SQLite and an in-memory channel layer, everything in one process, nothing to install;
- production: PostgreSQL and Redis, named by DATABASE_URL and REDIS_URL, `DEBUG` off.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONCE, NONE, SELF
from django.utils.translation import gettext_lazy as _

from config.embedded import load_or_create
from config.platforms import PLATFORMS
from config.shared.logs import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "data")))
BASE_URL = env.str("BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
HTTPS = urlsplit(BASE_URL).scheme == "https"
DATABASE_URL = env.str("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")
REDIS_URL = env.str("REDIS_URL", default="")
SQLITE = DATABASE_URL.startswith("sqlite")

# Production means DEBUG off. Left unsaid, only the embedded default on plain http is a development start.
DEBUG = env.bool("DEBUG", default=SQLITE and not HTTPS)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[urlsplit(BASE_URL).hostname, "127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[BASE_URL])

_made = load_or_create(DATA_DIR / "embedded-secrets.json") if DEBUG and SQLITE else {}
SECRET_KEY_GIVEN = env.str("SECRET_KEY", default="")
# A random stand-in keeps the start alive until the system checks can say in words what is missing.
SECRET_KEY = SECRET_KEY_GIVEN or _made.get("secret_key", "") or "insecure-no-secret-key-was-given"
# Old keys that still read while a new one takes over: sessions, and the digests by which API keys are found.
SECRET_KEY_FALLBACKS: list[str] = [
    key.strip() for key in env.list("SECRET_KEY_FALLBACKS", default=[]) if key.strip()
]
FIELD_ENCRYPTION_KEYS: list[str] = [
    key.strip() for key in env.list("FIELD_ENCRYPTION_KEYS", default=[]) if key.strip()
] or [key for key in [_made.get("field_encryption_key", "")] if key]
_jwt_secret = env.str("JWT_SECRET", default="")
JWT_SECRET = _jwt_secret or f"onboarding-token:{SECRET_KEY}"
JWT_SECRET_FALLBACKS: list[str] = [
    key.strip() for key in env.list("JWT_SECRET_FALLBACKS", default=[]) if key.strip()
] or [f"onboarding-token:{key}" for key in SECRET_KEY_FALLBACKS if not _jwt_secret]

# --- YClients, or Altegio: the same platform under another brand -----------------------------------
PLATFORM = env.str("YCLIENTS_BRAND", default="yclients").lower()
_platform = PLATFORMS.get(PLATFORM, PLATFORMS["yclients"])
PLATFORM_NAME = _platform.name
YCLIENTS_REAL_API_URL = _platform.api_url
YCLIENTS_PARTNER_TOKEN = env.str("YCLIENTS_PARTNER_TOKEN", default="").strip()
YCLIENTS_APPLICATION_ID = int(
    env.str("YCLIENTS_APPLICATION_ID", default="") or env.str("YCLIENTS_APP_ID", default="") or 0
)
YCLIENTS_API_URL = env.str("YCLIENTS_API_URL", default=YCLIENTS_REAL_API_URL).rstrip("/")
YCLIENTS_MARKETPLACE_URL = env.str(
    "YCLIENTS_MARKETPLACE_URL", default=f"{YCLIENTS_API_URL}/marketplace"
).rstrip("/")
YCLIENTS_ACCEPT = env.str("YCLIENTS_ACCEPT", default=_platform.accept)
YCLIENTS_REQUIRE_SIGNATURE = env.bool("YCLIENTS_REQUIRE_SIGNATURE", default=not DEBUG)
YCLIENTS_VERIFY_INSTALLATION = env.bool("YCLIENTS_VERIFY_INSTALLATION", default=True)
YCLIENTS_ACTIVATION_ENDPOINT = env.str("YCLIENTS_ACTIVATION_ENDPOINT", default="redirect")
# Where a salon owner finds our card again; only shown as a link on pages.
YCLIENTS_MARKETPLACE_PAGE = env.str("YCLIENTS_MARKETPLACE_PAGE", default=_platform.marketplace_page)

# --- WhatsApp -----------------------------------------------------------------------------------
WHATSAPP_ENGINE = env.str("WHATSAPP_ENGINE", default="neonize")
WHATSAPP_STORE_DIR = Path(env.str("WHATSAPP_STORE_DIR", default=str(DATA_DIR / "whatsapp")))
WHATSAPP_SANDBOX = env.bool("WHATSAPP_SANDBOX", default=False)
# Of a pool: its engine hosts reach WhatsApp through it. May hold a user and a password.
WHATSAPP_OUTGOING_PROXY = env.str("WHATSAPP_OUTGOING_PROXY", default="")
WHATSAPP_PROXY_URL = env.str("WHATSAPP_PROXY_URL", default="")
WHATSAPP_CA_FILE = env.str("WHATSAPP_CA_FILE", default="")
WHATSAPP_NOISE_ROOT = env.str("WHATSAPP_NOISE_ROOT", default="")
POOL_CAPACITY = env.int("POOL_CAPACITY", default=500)
POOL_SHARD_SIZE = env.int("POOL_SHARD_SIZE", default=50)
POOL_LEASE_SECONDS = env.int("POOL_LEASE_SECONDS", default=30)
# Off: messages go as fast as WhatsApp takes them, which gets real numbers banned.
SENDING_PACED = env.bool("SENDING_PACED", default=True)
# A message whose host died while it was sent: "retry" sends it once more, "report" leaves it at that.
SENDING_UNKNOWN = env.str("SENDING_UNKNOWN", default="retry")
# Notifications of one salon that may wait to be sent; more are answered 429. 0: any number.
SALON_QUEUE_LIMIT = env.int("SALON_QUEUE_LIMIT", default=10_000)

# --- Files of messages: each encrypted under a key of its own, in a folder or in another Django storage ---
MEDIA_DIR = Path(env.str("MEDIA_DIR", default=str(DATA_DIR / "media")))
MEDIA_STORAGE = env.str("MEDIA_STORAGE", default="whatsapp.media.local_storage.LocalStorage")
MEDIA_STORAGE_OPTIONS: dict[str, Any] = env.json("MEDIA_STORAGE_OPTIONS", default={})
MEDIA_MAX_BYTES = env.int("MEDIA_MAX_BYTES", default=16 * 1024 * 1024)
MEDIA_SESSION_BYTES = env.int("MEDIA_SESSION_BYTES", default=2 * 1024**3)
_local_media = MEDIA_STORAGE.endswith(".LocalStorage")
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # nothing uses it
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "media": {
        "BACKEND": MEDIA_STORAGE,
        "OPTIONS": {**({"location": MEDIA_DIR} if _local_media else {}), **MEDIA_STORAGE_OPTIONS},
    },
}

# --- Retention: after so many days personal data is removed; 0 keeps it for ever ----------------
RETENTION_MESSAGES_DAYS = env.int("RETENTION_MESSAGES_DAYS", default=90)
RETENTION_MEDIA_DAYS = env.int("RETENTION_MEDIA_DAYS", default=90)
RETENTION_NUMBERS_DAYS = env.int("RETENTION_NUMBERS_DAYS", default=90)
RETENTION_BOOKINGS_DAYS = env.int("RETENTION_BOOKINGS_DAYS", default=90)
RETENTION_OWNER_DAYS = env.int("RETENTION_OWNER_DAYS", default=90)
RETENTION_WEBHOOKS_DAYS = env.int("RETENTION_WEBHOOKS_DAYS", default=30)
RETENTION_SESSION_EVENTS_DAYS = env.int("RETENTION_SESSION_EVENTS_DAYS", default=180)

# A new address for what clients write counts only when a second member of staff has approved it.
FORWARDING_SECOND_APPROVER = env.bool("FORWARDING_SECOND_APPROVER", default=False)

# --- Limits, probes, logs -----------------------------------------------------------------------
API_REQUESTS_PER_MINUTE = env.int("API_REQUESTS_PER_MINUTE", default=120)
WS_CONNECTS_PER_MINUTE = env.int("WS_CONNECTS_PER_MINUTE", default=5)
ARRIVALS_PER_MINUTE = env.int("ARRIVALS_PER_MINUTE", default=300)
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
HEALTH_CHECK_TOKEN = env.str("HEALTH_CHECK_TOKEN", default="")
# Of a pool or worker process, which has no HTTP of its own; port 0 serves none.
METRICS_PORT = env.int("METRICS_PORT", default=0)
METRICS_ADDRESS = env.str("METRICS_ADDRESS", default="127.0.0.1")
# Who answers for the service: on /privacy, /terms and wherever a page says "write to support".
SUPPORT_PHONE = env.str("SUPPORT_PHONE", default="")
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", default="")
SUPPORT_URL = env.str("SUPPORT_URL", default="")
# The mail server for alerts to salons; without a host nobody can ask for them.
EMAIL_HOST = env.str("EMAIL_HOST", default="")
EMAIL_PORT = env.int("EMAIL_PORT", default=587)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=True)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", default=False)
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="") or SUPPORT_EMAIL or "noreply@localhost"
LEGAL_NAME = env.str("LEGAL_NAME", default="")
LEGAL_TAX_ID = env.str("LEGAL_TAX_ID", default="")
LEGAL_ADDRESS = env.str("LEGAL_ADDRESS", default="")
SENTRY_DSN = env.str("SENTRY_DSN", default="")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()

# --- Django -------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "daphne",  # first: it replaces runserver
    "config.admin_app.SupportAdminConfig",  # django.contrib.admin with our own site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "config",
    "whatsapp",
    "marketplace",
    "onboarding",
]
# The local stand-ins bring the `demo` command; they have packages of their own, absent in production.
if DEBUG and (BASE_DIR / "sandbox" / "management").is_dir():
    INSTALLED_APPS.append("sandbox")

MIDDLEWARE = [
    "config.shared.logs.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.view_threads.ViewThreadsMiddleware",  # last: it calls the view
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # The second one before the apps': what is changed of Django's own admin lies there.
        "DIRS": [BASE_DIR / "templates", BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# At least as many as a web process has threads that use the database (config/shared/thread_budgets.py).
POOL_OF_CONNECTIONS = 28
DATABASES: dict[str, dict[str, Any]] = {"default": env.db_url_config(DATABASE_URL)}
if SQLITE:
    Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # FULL: what was answered with 200 must survive a power cut, which WAL with NORMAL does not promise.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    # Persistent connections under an ASGI server pile up per thread; psycopg's pool keeps them few.
    # Set here: numbers given in a URL would arrive as strings.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    # Ingest's three threads keep one each, so that pages cannot take those, nor a burst theirs.
    # A connection whose packets are dropped is given up after 10 s; the system's own patience is 15 minutes.
    _patience = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives_idle": 10}
    # PostgreSQL's patience with us. A process that is paused, or whose machine is cut off, in the midst of a
    # transaction keeps its locks until PostgreSQL notices: two hours by the system's defaults, in which no
    # other pool or worker could take its rows. What DATABASE_URL says in `options` comes last and wins.
    _server_patience = {
        "idle_in_transaction_session_timeout": "20s",
        "tcp_user_timeout": "20s",  # these four: of a connection whose other end does not answer
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "2",
    }
    _options = DATABASES["default"].setdefault("OPTIONS", {})
    _server_options = " ".join(f"-c {name}={value}" for name, value in _server_patience.items())
    _options["options"] = f"{_server_options} {_options.get('options', '')}".strip()
    _options.update({"pool": {"min_size": 1, "max_size": POOL_OF_CONNECTIONS, "timeout": 10}, **_patience})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if REDIS_URL:
    CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
        "default": {
            "BACKEND": "config.shared.channel_layer.ChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": "salon-whatsapp"},
        }
    }
    CACHES: dict[str, dict[str, Any]] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "OPTIONS": {"serializer": "config.shared.json_serializer.JsonSerializer"},
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# --- Staff's sign-in ----------------------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
# The second step by an authenticator app, for everybody who uses the admin.
STAFF_TOTP_REQUIRED = env.bool("STAFF_TOTP_REQUIRED", default=not DEBUG)
OTP_TOTP_ISSUER = urlsplit(BASE_URL).hostname or "WhatsApp for YClients"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True
SESSION_COOKIE_AGE = 30 * 60  # seconds without a request; config.sessions ends each after 12 hours
SESSION_SAVE_EVERY_REQUEST = True

# --- Language and time --------------------------------------------------------------------------
LANGUAGE_CODE = _platform.language
# Another one: a catalog in locale/ with the sentences of onboarding/ and templates/, and a word here.
LANGUAGES = [("ru", _("Russian")), ("en", _("English")), ("es", _("Spanish"))]
# Sentences that name the platform come from its own catalog first; scripts/compile-translations makes it.
LOCALE_PATHS = [
    *([BASE_DIR / "locale_altegio"] if PLATFORM == "altegio" else []),
    BASE_DIR / "locale",
]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- Static files -------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
# The few files are served from the apps' folders; a missed `collectstatic` cannot break the page.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# --- API and tokens -----------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "WhatsApp for salons on YClients",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [],
    "PREPROCESSING_HOOKS": ["marketplace.api.schema.only_the_public_api"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "DISABLE_ERRORS_AND_WARNINGS": False,
}
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SECRET,
    "ACCESS_TOKEN_LIFETIME": timedelta(hours=1),
    "TOKEN_TYPE_CLAIM": "type",
}

# --- Security -----------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # asked by probes beside the proxy
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
if HTTPS:  # browsers keep such names to this very host, whole and encrypted
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SECURE_REFERRER_POLICY = "no-referrer"
# The policy's frame-ancestors says who may frame a page; X-Frame-Options could not name the marketplace.
SILENCED_SYSTEM_CHECKS = ["security.W002"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "media-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

LOGGING_CONFIG = None
LOGGING = logging_settings(
    LOG_LEVEL,
    pretty=DEBUG,
    secrets=[
        *(SECRET_KEY, *SECRET_KEY_FALLBACKS, JWT_SECRET, *JWT_SECRET_FALLBACKS),
        *(YCLIENTS_PARTNER_TOKEN, HEALTH_CHECK_TOKEN, *FIELD_ENCRYPTION_KEYS),
    ],
)

if SENTRY_DSN:
    import sentry_sdk

    from config.shared.error_reports import prepare_report

    sentry_sdk.init(
        dsn=SENTRY_DSN,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        before_send=prepare_report,
    )
