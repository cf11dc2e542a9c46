"""What a killed process had received of messages is said again by the next one."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whatsapp.engine.events import Disconnected, Event, Incoming, MediaReference, Receipt, Sent
from whatsapp.engine.host.spool import Spool
from whatsapp.engine.protocol import encode

SENT = Sent("s", "7.1", "3EB0")
TICK = Receipt("s", ["3EB0"], "delivered", 1800000000.0)
WORDS = Incoming("s", "79990000001", None, "Можно\nперенести? 🙏", None, "ABCD", 1800000001.0)


FILE = MediaReference(
    kind="image", mime="image/png", name="", size=3, path="/v/a", key="a", sha256="b", sealed_sha256="c"
)
PICTURE = replace(WORDS, text="Так", note="image", media=FILE)


def said(event: Event) -> dict[str, Any]:
    """The line of an event, to be made another version's."""
    line: dict[str, Any] = json.loads(encode(event))
    return line


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where a key store would be."""
    return tmp_path / "session.db"


def run_of(store: Path, *events: Event) -> tuple[Spool, list[Event]]:
    """A run that says these events; what reached its line."""
    spool, line = Spool(store), list[Event]()
    write = spool.recording(line.append)
    for event in events:
        write(event)
    return spool, line


def test_what_concerns_messages_is_left_by_a_killed_run(store: Path) -> None:
    _killed, line = run_of(store, SENT, Disconnected("s", "lost"), TICK, WORDS)
    assert line == [SENT, Disconnected("s", "lost"), TICK, WORDS]
    assert Spool(store).read_events() == [SENT, TICK, WORDS]


def test_it_is_kept_before_it_is_on_the_line(store: Path) -> None:
    def broken(_event: Event) -> None:
        raise OSError("the pool is gone")

    with pytest.raises(OSError, match="gone"):
        Spool(store).recording(broken)(WORDS)
    assert Spool(store).read_events() == [WORDS]


def test_what_another_version_has_kept_is_read_as_far_as_this_one_knows_it(store: Path) -> None:
    """An older one knew neither files nor places; a newer one may say more, of a file too."""
    older = {name: value for name, value in said(WORDS).items() if name not in ("media", "location")}
    newer = said(PICTURE) | {"reply_to": "ABCC"}
    newer["media"] = newer["media"] | {"width": 640}
    other_file = said(PICTURE) | {"media": {"url": "…"}}
    unknown, broken = {"type": "Reaction", "session": "s"}, said(SENT) | {"ref": 1}
    lines = [json.dumps(line) for line in (older, newer, other_file, unknown, broken, said(TICK))]
    store.with_name("session.db-said").write_text("\n".join(lines) + "\n")
    assert Spool(store).read_events() == [WORDS, PICTURE, replace(PICTURE, media=None), TICK]


def test_a_run_that_has_ended_leaves_what_it_heard_and_touches_it_no_more(store: Path) -> None:
    """The pool removes it when it is written."""
    spool, line = run_of(store, SENT)
    spool.close()
    spool.recording(line.append)(TICK)
    spool.rotate()
    assert (Spool(store).read_events(), line) == ([SENT], [SENT, TICK])
    assert [file.name for file in store.parent.iterdir()] == ["session.db-said"]


def test_what_is_old_is_let_go_of_after_two_turns(store: Path) -> None:
    spool, line = run_of(store, SENT)
    spool.rotate()
    spool.recording(line.append)(TICK)
    assert Spool(store).read_events() == [SENT, TICK]
    spool.rotate()
    assert Spool(store).read_events() == [TICK]
    spool.rotate()
    assert Spool(store).read_events() == []


def test_a_second_killed_run_still_leaves_what_the_first_one_heard(store: Path) -> None:
    run_of(store, SENT)
    path = store.with_name("session.db-said")
    path.write_bytes(path.read_bytes() + b'{"type":"Receipt","sess')
    again, _line = run_of(store, WORDS)
    assert Spool(store).read_events() == [SENT, WORDS]
    again.rotate()
    again.rotate()
    assert Spool(store).read_events() == []


def test_nobody_else_may_read_it(store: Path) -> None:
    run_of(store, WORDS)
    assert stat.S_IMODE(store.with_name("session.db-said").stat().st_mode) == 0o600


def test_a_disk_that_takes_nothing_does_not_keep_it_from_the_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _spool, line = run_of(tmp_path / "absent" / "session.db", WORDS)
    assert line == [WORDS]
    assert "not kept" in capsys.readouterr().err
