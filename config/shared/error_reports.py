"""What Sentry is sent: a sentence with tags to search by, masked like a log line, without the request."""

from collections.abc import Mapping
from typing import Any

from config.shared.masking import mask_value

# Fields of a log line by which operators look for an error; the others come along as context.
TAGS = ("salon_id", "session", "pool", "host", "webhook", "message", "request_id", "job", "call", "operation")


def prepare_report(event: Any, hint: Mapping[str, Any] | None = None) -> Any:
    """Sentry's `before_send`. Our loggers hand over a dict as the message; its sentence is under `event`."""
    event.pop("request", None)
    record = (hint or {}).get("log_record")
    said = getattr(record, "msg", None)
    if isinstance(said, Mapping):
        _describe(event, said)
    return {name: mask_value(name, value) for name, value in event.items()}


def _describe(event: Any, said: Mapping[str, Any]) -> None:
    sentence = str(said.get("event", ""))
    event["logentry"] = {"message": sentence, "formatted": sentence}
    event.pop("message", None)
    tags = {name: str(said[name])[:200] for name in TAGS if said.get(name) is not None}
    event["tags"] = {**dict(event.get("tags") or {}), **tags}
    left = {"event", "exc_info", "exception", "level", "logger", "timestamp", "_record", "_from_structlog"}
    context = {name: value for name, value in said.items() if name not in left and name not in tags}
    if context:
        event.setdefault("contexts", {})["log"] = {name: repr(value) for name, value in context.items()}
