"""Messages of the tests: queueing them, and waiting for what becomes of them."""

import asyncio
import time
from collections.abc import Callable
from itertools import count

from config.shared.database import in_thread
from tests.whatsapp.pools import PATIENCE
from whatsapp.messages import message_queue
from whatsapp.messages.message_queue import NewMessage
from whatsapp.models import Message, Session

CLIENT = "79995550101"
_names = count(1)


def new(text: str = "See you at ten", **fields: object) -> NewMessage:
    """A message to a client, with a name of its own."""
    given: dict[str, object] = {
        "phone": CLIENT,
        "text": text,
        "source": "operator",
        "external_id": f"n{next(_names)}",
        **fields,
    }
    return NewMessage(**given)  # type: ignore[arg-type]


async def queue(session: Session, *batch: NewMessage) -> list[Message]:
    """Take the messages; without any, one plain message."""
    return await in_thread(message_queue.queue_messages, session=session, messages=list(batch) or [new()])


async def until_message(message: Message, condition: Callable[[Message], object]) -> Message:
    """Return the row as soon as `condition` holds for it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        row = await in_thread(Message.objects.get, pk=message.pk)
        if condition(row):
            return row
        assert time.monotonic() < deadline, f"still {row.status}: {row.error_code} {row.error}"
        await asyncio.sleep(0.02)


async def until_status(message: Message, *statuses: str) -> Message:
    """Return the row as soon as it has one of these statuses."""
    return await until_message(message, lambda row: row.status in statuses)
