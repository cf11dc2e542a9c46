"""What a failed call to YClients means, and what its answer says about it. Pure, no network."""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from config.shared.backoff import backoff

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 3600.0  # seconds
MAX_MESSAGE = 300


class Kind(StrEnum):
    """Why a call failed."""

    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    NETWORK = "network"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    BUSY = "busy"
    UNCONFIGURED = "unconfigured"


class YClientsError(Exception):
    """A call that brought no good answer.

    `permanent`: the same call will fail again, YClients said no. `outcome_unknown`: the call may have had
    its effect. `status` is the HTTP status, None without an answer. `message` has no secrets.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        outcome_unknown: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.outcome_unknown = outcome_unknown
        self.retry_after = retry_after
        self.permanent = kind is Kind.REFUSED

    @property
    def is_busy(self) -> bool:
        """Our own share of calls is used up, by our count or by YClients': it is there, and was not asked."""
        return self.kind is Kind.BUSY or self.status == 429

    def __str__(self) -> str:
        return f"{self.kind}{f' {self.status}' if self.status else ''}: {self.message}"


def pause_after(error: YClientsError, attempt: int) -> float:
    """Seconds until the call is tried again, never less than what YClients asked for."""
    return backoff(attempt, first=FIRST_PAUSE, longest=LONGEST_PAUSE, retry_after=error.retry_after)


def retry_after(value: str | None) -> float | None:
    """Read the header's seconds or date; None when it is missing or makes no sense."""
    if not value:
        return None
    if re.fullmatch(r"\d{1,6}(\.\d+)?", value.strip()):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def sentence_in(content: bytes, hidden: tuple[str, ...]) -> str:
    """Return the sentence of `{"meta": {"message": …}}` as one short line without secrets."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    meta = said.get("meta") if isinstance(said, dict) else None
    text = meta.get("message") if isinstance(meta, dict) else None
    if not isinstance(text, str):
        return ""
    for secret in hidden:
        if secret:
            text = text.replace(secret, "[hidden]")
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]+", " ", text)[:MAX_MESSAGE].strip()
