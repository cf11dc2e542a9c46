"""Errors reach a Sentry server readable, with tags, and without anything secret."""

import gzip
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from config.shared.error_reports import prepare_report
from tests.environment import SECRETS, clean_environment
from tests.forked_processes import run_forked
from tests.marketplace.listener import Listener

CODE = """
import sentry_sdk, structlog
log = structlog.get_logger("worker")
try:
    raise RuntimeError("no answer for 79990001122 with Bearer very-secret-token-of-the-partner")
except RuntimeError:
    log.exception("webhook not applied", webhook=17, salon_id=307626, phone="79990001122", attempts=3)
sentry_sdk.flush(10)
"""


@pytest.fixture
def sentry() -> Iterator[Listener]:
    """A server that takes what Sentry's client posts."""
    server = Listener()
    yield server
    server.close()


def reported(sentry: Listener) -> list[dict[str, Any]]:
    """The events of all envelopes that arrived."""
    events = []
    for _path, headers, body in sentry.got:
        text = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        for line in text.splitlines():
            part = json.loads(line)
            if "exception" in part or "logentry" in part:
                events.append(part)
    return events


def test_a_report_arrives_with_a_sentence_and_tags_and_nothing_secret(sentry: Listener) -> None:
    environment = {
        **clean_environment(), **SECRETS, "DEBUG": "true", "DATABASE_URL": "sqlite://:memory:",
        "SENTRY_DSN": f"http://key@127.0.0.1:{sentry.port}/1",
    }  # fmt: skip
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", CODE]
    done = run_forked(command, environment=environment)
    assert done.returncode == 0, done.stderr
    [event] = reported(sentry)
    assert event["logentry"]["message"] == "webhook not applied"
    assert (event["tags"]["salon_id"], event["tags"]["webhook"]) == ("307626", "17")
    assert event["level"] == "error"
    assert event["exception"]["values"][0]["type"] == "RuntimeError"
    everything = json.dumps(event)
    assert "79990001122" not in everything
    assert "very-secret-token" not in everything


def test_a_report_has_no_request_and_no_secret() -> None:
    report = prepare_report(
        {"request": {"headers": {}}, "exception": {"values": [{"value": "tel 79990001122"}]},
         "event_id": "9f" * 16, "extra": {"api_key": "x"}},
    )  # fmt: skip
    assert report == {"exception": {"values": [{"value": "tel 7999*****22"}]}, "event_id": "9f" * 16,
                      "extra": {"api_key": "[hidden]"}}  # fmt: skip
