"""All settings of Countersign, read from the environment.

Without any variable set it runs embedded: SQLite and a file-system broker under `DATA_DIR`.
With `DATABASE_URL` it runs in production mode on PostgreSQL and refuses insecure values by name.
"""

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def flag(name: str, default: bool = False) -> bool:
    """True for 1, true, yes or on in the environment variable `name`."""
    return os.environ.get(name, str(default)).strip().lower() in {"1", "true", "yes", "on"}


DATABASE_URL = os.environ.get("DATABASE_URL", "")
REDIS_URL = os.environ.get("REDIS_URL", "")
COUNTERSIGN_ENV = os.environ.get("COUNTERSIGN_ENV") or ("production" if DATABASE_URL else "embedded")
if COUNTERSIGN_ENV not in {"embedded", "production"}:
    raise ImproperlyConfigured("COUNTERSIGN_ENV is 'embedded' or 'production'.")
PRODUCTION = COUNTERSIGN_ENV == "production"

DATA_DIR = Path(os.environ.get("DATA_DIR") or BASE_DIR / "var").resolve()
DEBUG = flag("DEBUG")
BASE_URL = os.environ.get("BASE_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = [host for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host]


def kept_secret(name: str) -> str:
    """The secret in `DATA_DIR/keys/<name>`, made on first use (embedded mode only)."""
    path = DATA_DIR / "keys" / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = os.environ.get("SECRET_KEY", "")
if PRODUCTION:
    missing = [name for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS") if not os.environ.get(name)]
    if missing:
        raise ImproperlyConfigured(f"Production needs {', '.join(missing)} in the environment.")
    if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5:
        raise ImproperlyConfigured("SECRET_KEY has to be 50 random characters or more in production.")
    if DEBUG:
        raise ImproperlyConfigured("DEBUG shows internals to strangers: leave it unset in production.")
    if "*" in ALLOWED_HOSTS:
        raise ImproperlyConfigured("ALLOWED_HOSTS names the hosts this site answers to; '*' answers to all.")
    if not BASE_URL.startswith("https://"):
        raise ImproperlyConfigured("BASE_URL has to begin with https:// in production.")
else:
    SECRET_KEY = SECRET_KEY or kept_secret("secret_key")
    ALLOWED_HOSTS = ALLOWED_HOSTS or ["127.0.0.1", "localhost", "[::1]", "testserver", urlsplit(BASE_URL).hostname or "localhost"]

INSTALLED_APPS = [
    "config.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "guardian",
    "simple_history",
    "django_fsm",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_linear_migrations",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "changemgmt",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "changemgmt.web.middleware.ActContext",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "changemgmt.web.context.shell",
            ],
        },
    }
]

if DATABASE_URL:
    DATABASES = {"default": dj_database_url.parse(DATABASE_URL)}
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "db.sqlite3")}}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE takes the write lock at BEGIN: without it two writers that both read first fail as "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-20000;",
    }
else:
    DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 1, "max_size": int(os.environ.get("DATABASE_CONNECTIONS", "16")), "timeout": 10}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "changemgmt.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "guardian.backends.ObjectPermissionBackend"]
ANONYMOUS_USER_NAME = None
GUARDIAN_RAISE_403 = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = DATA_DIR / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION

HTTPS = BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS and not flag("BEHIND_PROXY")
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
if flag("BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_TRUSTED_ORIGINS = [BASE_URL]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

# The database holds what is owed; a message only says "look", so results are never kept.
CELERY_BROKER_URL = REDIS_URL or "folder://localhost//"
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"visibility_timeout": 7200, "unacked_restore_interval": 5, "unacked_restore_throttle": 1}
    if REDIS_URL
    else {
        "data_folder_in": str(DATA_DIR / "broker"),
        "data_folder_out": str(DATA_DIR / "broker"),
        "processed_folder": str(DATA_DIR / "broker-processed"),
        "control_folder": str(DATA_DIR / "broker-control"),
        "store_processed": False,
        "polling_interval": 0.1,
    }
)
if not REDIS_URL:
    for folder in ("data_folder_in", "processed_folder", "control_folder"):
        Path(str(CELERY_BROKER_TRANSPORT_OPTIONS[folder])).mkdir(parents=True, exist_ok=True)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_ALWAYS_EAGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # What all processes see: how far computations are, and answers kept for a while.
    "shared": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "shared",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 5},
    }
    if REDIS_URL
    else {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": DATA_DIR / "cache",
        "OPTIONS": {"MAX_ENTRIES": 1000},
    },
}

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend" if os.environ.get("EMAIL_HOST") else "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DATA_DIR / "mail"
EMAIL_HOST = os.environ.get("EMAIL_HOST", "")
EMAIL_PORT = int(os.environ.get("EMAIL_PORT", "25"))
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = flag("EMAIL_USE_TLS")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "Countersign <countersign@localhost>")

API_THROTTLE = os.environ.get("API_THROTTLE", "600/min")
LOGIN_THROTTLE = os.environ.get("LOGIN_THROTTLE", "20/min")
# Off only where one person tries things out; production always asks a second administrator.
CHAINS_NEED_SECOND_ADMINISTRATOR = PRODUCTION or flag("CHAINS_NEED_SECOND_ADMINISTRATOR", True)
# For how long a member of a group keeps a vote they claimed from the others.
# How many steps a vote may be handed on: 1 is from somebody to their delegate, and no further.
DELEGATION_HOPS = int(os.environ.get("DELEGATION_HOPS", "1"))
CLAIM_HOURS = int(os.environ.get("CLAIM_HOURS", "8"))
# Emergencies are rare: who gives more go-aheads within 24 hours is stopped, and looked at.
EMERGENCY_GO_AHEADS_PER_DAY = int(os.environ.get("EMERGENCY_GO_AHEADS_PER_DAY", "5"))
# What ran on a go-ahead is reviewed within this time; after it, it stands out as unreviewed.
EMERGENCY_REVIEW_HOURS = int(os.environ.get("EMERGENCY_REVIEW_HOURS", "48"))
# A relation that nobody confirmed for longer than this is stale: what is reached over it is shown apart, and no risk is made of it.
RELATION_TRUST_DAYS = int(os.environ.get("RELATION_TRUST_DAYS", "365"))
# A change with more items, or a question about more components, is computed by a worker while nobody waits.
INLINE_ITEMS = int(os.environ.get("INLINE_ITEMS", "200"))
# The impact list ends where the score falls below this, or after so many; the rest is one click away.
IMPACT_LIST_SCORE = float(os.environ.get("IMPACT_LIST_SCORE", "0.2"))
IMPACT_LIST_LENGTH = int(os.environ.get("IMPACT_LIST_LENGTH", "50"))

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "changemgmt.api.schema.ResourceSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": ["changemgmt.api.auth.TokenAuthentication", "changemgmt.api.auth.BrowserAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["changemgmt.api.body.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["changemgmt.api.body.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "changemgmt.api.body.OnlyJSON",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "changemgmt.api.errors.handle",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["rest_framework.renderers.MultiPartRenderer", "rest_framework.renderers.JSONRenderer"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Countersign",
    "DESCRIPTION": "Change management and approval of IT architecture. Every act of the pages is here, through the same functions.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["changemgmt.api.schema.token_scheme"],
}

# Faults go to standard error with their traceback; a page or path that is not there is no fault.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "config.lines.Line", "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"django": {"handlers": ["console"], "level": "WARNING", "propagate": False}, "django.request": {"level": "ERROR"}},
}

PRODUCT_NAME = os.environ.get("PRODUCT_NAME", "Countersign")
# What an authenticator app shows beside the username.
OTP_TOTP_ISSUER = PRODUCT_NAME

# The mail address behind which a gateway sends text messages; without it a guest's second channel is a mail address.
GUEST_SMS_ADDRESS = os.environ.get("GUEST_SMS_ADDRESS", "")
if GUEST_SMS_ADDRESS and (GUEST_SMS_ADDRESS.count("{number}") != 1 or GUEST_SMS_ADDRESS.count("@") != 1):
    raise ImproperlyConfigured("GUEST_SMS_ADDRESS is a mail address with {number} in it, such as {number}@sms.example.org.")
