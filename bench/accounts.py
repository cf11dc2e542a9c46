"""What became of every message of a storm: in our rows, on the phones, and in what YClients was told."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.deployments import Deployment

ACKNOWLEDGED = ("sent", "delivered", "read")
FINAL = (*ACKNOWLEDGED, "failed", "expired", "unknown")
# What YClients has been told when nothing is left to tell, each status once, by the message's last state. A
# receipt that came after an outcome was given up adds to what was told before.
TOLD_OF: dict[str, list[tuple[int, ...]]] = {
    "sent": [(8, 4)],
    "delivered": [(8, 4, 1), (8, 2, 4, 1)],
    "read": [(8, 4, 1), (8, 2, 4, 1)],
    "failed": [(8, 2)],
    "expired": [(8, 2)],
    "unknown": [(8, 2)],
}


@dataclass(frozen=True, slots=True)
class Row:
    """One message as the database has it."""

    own_id: str
    session: str
    phone: str
    text: str
    status: str
    attempts: int
    unknowns: int
    callback: str
    sent_at: float  # seconds since the epoch, 0 when it was not


@dataclass
class Verdict:
    """Figures of one storm; `wrong` holds a sentence for each thing that must not be."""

    states: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)  # by session
    missing: int = 0  # not at the phone, and our row says so
    # The phone has it, WhatsApp's server has said so, and the phone's receipt died with a process: WhatsApp
    # tells it once, and the library confirms it before anybody could have written it down.
    receipts_lost: list[float] = field(default_factory=list)  # when the messages were sent
    repeated_reports: int = 0
    attempts: int = 0
    wrong: list[str] = field(default_factory=list)


def rows(system: Deployment) -> list[Row]:
    """Every message of YClients."""
    found = system.query(
        "SELECT split_part(external_id, ':', 2), session_id::text, phone, text, status, attempts, unknowns,"
        " callback_state, coalesce(extract(epoch FROM sent_at), 0)::float"
        " FROM whatsapp_message WHERE source = 'operator'"
    )
    return [Row(*row) for row in found]


def open_rows(system: Deployment) -> dict[str, int]:
    """How many messages are under way, wait for the phone's receipt, or have something left to tell."""
    statement = (
        "SELECT count(*) FILTER (WHERE status IN ('queued', 'sending')),"
        " count(*) FILTER (WHERE status = 'sent'), count(*) FILTER (WHERE callback_state = 'due')"
        " FROM whatsapp_message WHERE source = 'operator'"
    )
    return dict(zip(("under way", "without receipt", "to tell"), system.query(statement)[0], strict=True))


def judge(system: Deployment, *, wanted: set[str], phones: list[str]) -> Verdict:
    """Compare the three accounts; `wanted` are YClients' ids. No phone gets the same text twice
    but by a second sending."""
    verdict = Verdict()
    kept = rows(system)
    by_id = {row.own_id: row for row in kept}
    if len(kept) != len(by_id) or by_id.keys() != wanted:
        lost = len(wanted - by_id.keys())
        verdict.wrong.append(f"{len(kept)} rows for {len(wanted)} messages, {lost} without any")
    arrived = Counter((phone, text) for phone in phones for text in _inbox(system, phone))
    told = {one["id"]: [entry["status"] for entry in one["statuses"]] for one in _notifications(system)}
    for row in by_id.values():
        verdict.states[row.status] += 1
        verdict.attempts += row.attempts
        _judge_phone(verdict, row, arrived[row.phone, row.text])
        _judge_told(verdict, row, told.get(row.own_id, []))
    return verdict


def _inbox(system: Deployment, phone: str) -> list[str]:
    return [message["text"] for message in system.whatsapp.phone(phone)["inbox"]]


def _notifications(system: Deployment) -> list[dict[str, Any]]:
    return list(system.yclients.get("/control/notifications")["notifications"])


def _judge_phone(verdict: Verdict, row: Row, times: int) -> None:
    if row.status not in FINAL:
        verdict.wrong.append(f"{row.own_id} is still {row.status}")
    if not times:
        verdict.missing += 1
        if row.status in ACKNOWLEDGED:
            verdict.wrong.append(f"{row.own_id} is {row.status}, but no phone has it")
    if times and row.status == "sent":
        verdict.receipts_lost.append(row.sent_at)
    if times > 1:
        verdict.duplicates[row.session] += times - 1
        if times > 1 + row.unknowns:
            verdict.wrong.append(f"{row.own_id} came {times} times, in doubt {row.unknowns} times")


def _judge_told(verdict: Verdict, row: Row, statuses: list[int]) -> None:
    once = tuple(dict.fromkeys(statuses))
    verdict.repeated_reports += len(statuses) - len(once)
    if row.callback != "done":
        verdict.wrong.append(f"{row.own_id}: the reports are {row.callback}")
    elif once not in TOLD_OF.get(row.status, []):
        verdict.wrong.append(f"{row.own_id} is {row.status}, YClients was told {statuses}")
