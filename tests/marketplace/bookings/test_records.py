"""Reading what YClients says of a booking: captured, partial, odd."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketplace.bookings.records import RecordChange, Stamp, parse
from tests.payloads import load

RECEIVED_AT = datetime(2025, 7, 13, 8, 0, tzinfo=UTC)


def read_record(**body: Any) -> RecordChange | None:
    return parse(body, received_at=RECEIVED_AT, zone=ZoneInfo("Asia/Yekaterinburg"), region="RU")


def fields(**data: Any) -> dict[str, Any]:
    change = read_record(resource_id=1, status="update", data=data)
    assert change is not None
    return change.fields


def test_the_captured_record() -> None:
    change = read_record(**load("record_update"))
    assert change == RecordChange(
        record_id=596792980,
        stamp=Stamp("2025-07-13T07:15:24.000000Z", 1),
        is_create=False,
        fields={
            "start": "2025-07-13T12:10:00+05:00",
            "staff": [2835418, "Anna"],
            "services": [[5034676, "Haircut"]],
            "client": [1, "Ivan", "79990000000"],
            "attendance": 1,
            "deleted": False,
        },
    )


@pytest.mark.parametrize("data", [None, [], "text", 5, {}])
def test_a_body_without_data_names_only_its_record(data: Any) -> None:
    change = read_record(resource_id=7, status="delete", data=data)
    assert change is not None
    assert change.fields == {"deleted": True}
    assert change.stamp == Stamp("2025-07-13T08:00:00.000000Z", 2)


@pytest.mark.parametrize("resource_id", [None, 0, -5, True, "x", 2**70, {}, "9" * 30])
def test_a_body_that_names_no_record_is_not_one(resource_id: Any) -> None:
    assert read_record(resource_id=resource_id, status="update", data={}) is None


def test_a_number_may_come_as_text_or_only_in_the_data() -> None:
    for body in ({"resource_id": "12"}, {"data": {"id": 12}}, {"data": {"id": "12"}}):
        change = read_record(status="update", **body)
        assert change is not None
        assert change.record_id == 12


@pytest.mark.parametrize(
    ("data", "start"),
    [
        ({"datetime": "2025-07-13T12:10:00+0500"}, "2025-07-13T12:10:00+05:00"),
        ({"datetime": "nonsense", "date": "2025-07-13 12:10:00"}, "2025-07-13T12:10:00+05:00"),
        ({"date": "2025-07-13 12:10"}, "2025-07-13T12:10:00+05:00"),
        ({"datetime": "2025-07-13T07:10:00Z"}, "2025-07-13T07:10:00+00:00"),
    ],
)
def test_times_in_every_form(data: dict[str, Any], start: str) -> None:
    assert fields(**data)["start"] == start


@pytest.mark.parametrize("start", ["", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", 5, None, []])
def test_an_impossible_time_is_not_said(start: Any) -> None:
    assert "start" not in fields(datetime=start)


@pytest.mark.parametrize(
    ("client", "kept"),
    [
        (None, None),
        ({}, None),
        ({"id": 3, "name": "Иван"}, [3, "Иван", ""]),
        ({"id": 3, "name": "", "display_name": "Иван П.", "phone": ""}, [3, "Иван П.", ""]),
        ({"id": 3, "name": "Иван\nПетров", "phone": "8 (916) 111-22-33"}, [3, "Иван Петров", "79161112233"]),
        ({"id": None, "name": None, "phone": None}, [None, "", ""]),
        ({"name": ["x"], "phone": 79161112233}, [None, "", "79161112233"]),
    ],
)
def test_clients_as_they_come(client: Any, kept: Any) -> None:
    assert fields(client=client)["client"] == kept


def test_odd_fields_are_not_said() -> None:
    odd = fields(client="Ivan", staff=5, services={"id": 1}, attendance="1", deleted=None, datetime={})
    assert odd == {}


@pytest.mark.parametrize(("value", "deleted"), [(True, True), (1, True), ("true", True), (0, False)])
def test_deleted_in_every_form(value: Any, deleted: bool) -> None:
    assert fields(deleted=value)["deleted"] is deleted


def test_odd_services_leave_the_others() -> None:
    assert fields(services=[None, {"id": 1, "title": "A"}, "x", {"title": "B"}, {}])["services"] == [
        [1, "A"],
        [None, "B"],
    ]


def test_a_time_of_change_in_the_far_future_is_not_believed() -> None:
    change = read_record(
        resource_id=1, status="update", data={"last_change_date": "2035-01-01T00:00:00+0000"}
    )
    assert change is not None
    assert change.stamp.at == "2025-07-13T08:00:00.000000Z"


def test_within_a_second_a_deletion_is_later_than_a_change_and_that_than_the_making() -> None:
    stamps = []
    for status in ("delete", "create", "update"):
        change = read_record(
            resource_id=1, status=status, data={"last_change_date": "2025-07-13T07:00:00+0000"}
        )
        assert change is not None
        stamps.append((change.stamp, status))
    assert [status for _stamp, status in sorted(stamps)] == ["create", "update", "delete"]


def test_what_has_not_changed_since_it_was_made_just_now_is_new() -> None:
    made = {"create_date": "2025-07-13T12:50:00+0500", "last_change_date": "2025-07-13T07:50:00+0000"}
    long_ago = dict.fromkeys(made, "2025-07-10T12:50:00+0500")
    for data, is_create in ((made, True), (long_ago, False), ({**made, "create_date": None}, False)):
        change = read_record(resource_id=1, status="update", data=data)
        assert change is not None
        assert change.is_create is is_create
