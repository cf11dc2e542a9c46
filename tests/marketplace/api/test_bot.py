"""The example of docs/api.md: a bot that is told of a message and answers it over the API."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from tests.environment import ROOT
from tests.marketplace.api.conftest import ApiCaller
from tests.marketplace.clients import IVAN, work, writes
from tests.server import free_port

if TYPE_CHECKING:
    from pytest_django.live_server_helper import LiveServer

    from marketplace.models import Company

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "of-the-bot-" + "s" * 32


@pytest.fixture
def bot_url(live_server: LiveServer, caller: ApiCaller) -> Iterator[str]:
    """The example, running; its own address."""
    environment = {
        **os.environ, "API_URL": live_server.url, "API_KEY": caller.key, "WEBHOOK_SECRET": SECRET,
    }  # fmt: skip
    port = free_port()
    command = [sys.executable, str(ROOT / "docs" / "examples" / "bot.py"), str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "listening" in process.stdout.readline()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def forwarded(bot_url: str, moscow: Company, settings: Any) -> None:
    """Moscow's messages go to the bot."""
    from marketplace.models import Forwarding

    settings.WHATSAPP_SANDBOX = True  # lets a plain http address of this machine be posted to
    Forwarding.objects.create(company=moscow, url=bot_url, secret=SECRET)


def deliver() -> None:
    from marketplace.inbound import forwarding

    work()
    for pk in forwarding.due(limit=100):
        forwarding.deliver(pk)


def test_the_bot_answers_a_question_once(forwarded: None, moscow: Company) -> None:
    from marketplace.models import ForwardedMessage
    from whatsapp.models import Message

    writes(moscow, "Какая цена стрижки?")
    deliver()
    assert ForwardedMessage.objects.get().state == "delivered"
    answer = Message.objects.get(direction="out")
    assert (answer.phone, answer.source, answer.status) == (IVAN, "api", "queued")
    assert "1500" in answer.text
    # Its answer to the delivery was lost: the delivery comes again, the client is not answered twice.
    ForwardedMessage.objects.update(state="due", next_attempt_at="2020-01-01T00:00:00Z", since=timezone.now())
    deliver()
    assert Message.objects.filter(direction="out").count() == 1


def test_what_the_bot_does_not_know_is_left_to_a_person(forwarded: None, moscow: Company) -> None:
    from whatsapp.models import Message

    writes(moscow, "Спасибо!")
    deliver()
    assert not Message.objects.filter(direction="out").exists()
