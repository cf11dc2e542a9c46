"""The operator's url: every form in which a request has been seen or may come, and when it is answered."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from marketplace.notifications import intake
from tests.marketplace.notifications.test_intake import CALLBACK, codes, ingest_request, kept, post
from tests.marketplace.salons_data import MOSCOW, make_active
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)

REST = {"text": "Ждём вас", "channel": "whatsapp", "delivery_callback_url": CALLBACK}
ONE = {"id": "n1", "phone": "79990000000"}


@pytest.mark.parametrize(
    "body",
    [
        {"destination_params": [ONE], **REST},
        {"destination_params": ONE, **REST},
        {"destination_params": {"message_id": "n1", "phone_number": "+7 999 000-00-00"}, **REST},
        {"destination_params": [{"message_id": "n1", "to": "8 (999) 000-00-00"}], **REST},
        {"destination_params": [{"id": "n1", "phone": 79990000000}], **REST, "from": 5},
        {"destination_params": [{"id": "n1", "phone": "9990000000"}], **REST, "dispatch_type": "SERVICE"},
        {"destination_params": [{"id": "n1", "phone": "tel:+7-999-000-00-00"}], **REST, "channel": None},
        {"destination_params": [{"id": "", "message_id": "n1", "phone": "007 999 000 00 00"}], **REST},
        {"destination_params": [{**ONE, "text": "Ждём вас"}], **REST, "text": "Общий текст"},
        {"destination_params": [ONE], **REST, "salon_id": MOSCOW, "что-то": {"ещё": [1]}},
        {"destination_params": [ONE], **REST, "company_id": str(MOSCOW)},
        {**ONE, **REST},
        [{**ONE, **REST}],
        [{"destination_params": ONE, **REST}],
    ],
)
def test_one_message_is_the_same_in_every_form(body: Any) -> None:
    make_active()
    response = post(body)
    assert (response.status_code, codes(response)) == (200, [None])
    (message,) = kept()
    assert response.json() == [{"id": "n1", "ext_id": str(message.pk)}]
    assert (message.external_id, message.phone, message.text) == (f"{MOSCOW}:n1", "79990000000", "Ждём вас")
    assert (message.category, Message.objects.get(pk=message.pk).callback_url) == ("service", CALLBACK)


def test_a_batch_of_different_forms_is_answered_in_its_order() -> None:
    make_active()
    targets = [ONE, {"message_id": 2, "to": "79990000002"}, {"id": "n3", "phone_number": "79990000003"}]
    response = post([{"destination_params": targets, **REST}, {"id": "n4", "to": "79990000004", **REST}])
    assert [row["id"] for row in response.json()] == ["n1", "2", "n3", "n4"]
    assert [row["ext_id"] for row in response.json()] == [str(message.pk) for message in kept()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_arrive_as_they_were_written(encoding: str) -> None:
    make_active()
    text = "Ирина, ждём вас!\n\n💇‍♀️ «Стрижка» & <укладка>\t— 100 %"
    body = json.dumps({"destination_params": ONE, **REST, "text": text}, ensure_ascii=False)
    assert post(body.encode(encoding)).status_code == 200
    assert [message.text for message in kept()] == [text]


FAILING_COMMIT = """
CREATE FUNCTION fail_at_commit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the commit failed' USING ERRCODE = 'connection_failure'; END $$;
CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT ON whatsapp_message
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_at_commit();
"""


@pytest.fixture
def failing_commit() -> Iterator[None]:
    """Messages can be inserted, and not committed."""
    with connection.cursor() as cursor:
        cursor.execute(FAILING_COMMIT)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION fail_at_commit CASCADE")


@pytest.mark.usefixtures("failing_commit")
def test_no_id_is_answered_when_the_commit_fails() -> None:
    make_active()
    [answer] = intake.handle([ingest_request({"destination_params": [ONE], **REST})])
    assert answer.status == 503
    assert b"ext_id" not in answer.content
    assert kept() == []
