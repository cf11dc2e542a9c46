"""One way to steer both engines: the simulated one, and the real library against the sandbox's server."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sandbox.whatsapp import SandboxWhatsApp
from sandbox.whatsapp.store import Store
from tests.sandbox_server import SteadySandbox
from tests.server import temporary_folder
from tests.shared_forks import SharedForkServer
from whatsapp.engine import Engine, EngineSettings
from whatsapp.engine.events import Connected, Event, Location, QrCode
from whatsapp.engine.simulated import SimulatedEngine
from whatsapp.engine.supervisor.engine import NeonizeEngine

E = TypeVar("E")
SALON = "79990000001"
CLIENT = "79990000002"
STRANGER = "79990000009"
DONE = "done"


class ReceivedFile(NamedTuple):
    """A picture or document at the client's phone; SHA-256 in hex."""

    kind: str
    mime: str
    name: str
    caption: str
    sha256: str


class EventRecorder:
    """Hears every event of an engine; `next` takes the first that fits and forgets those before it."""

    def __init__(self, engine: Engine) -> None:
        self.everything: list[Event] = []
        self._position = 0
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._listen(engine))

    async def _listen(self, engine: Engine) -> None:
        async for event in engine.events():
            self.everything.append(event)
            self._news.set()

    async def next(self, kind: type[E], session: str | None = None, timeout: float = 30) -> E:  # noqa: ASYNC109
        """The next event of this kind; fails with what was received instead."""
        start = self._position
        try:
            async with asyncio.timeout(timeout):
                while True:
                    while self._position < len(self.everything):
                        event = self.everything[self._position]
                        self._position += 1
                        if isinstance(event, kind) and session in (None, getattr(event, "session", None)):
                            return event
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__} came, but {self.everything[start:]}") from None

    def count(self, kind: type[Any]) -> int:
        """How many of this kind were received since the beginning."""
        return sum(isinstance(event, kind) for event in self.everything)

    async def end(self) -> None:
        """Wait until the engine has said everything."""
        await asyncio.wait_for(self._task, 60)


class SimulatedHarness:
    """The simulated engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = self.simulated = SimulatedEngine(
            pace=0.001, qr_lifetimes=(60_000,), stable_after=60_000
        )
        self.recorder = EventRecorder(self.engine)
        self.phones: dict[str, str] = {}

    async def close(self) -> None:
        await self.engine.close()
        await self.recorder.end()

    def store(self, session: str) -> Path:
        return self.folder / f"{session}.db"

    async def link(self, session: str, phone: str = SALON) -> None:
        """From nothing to a session that is connected in its shard."""
        await self.engine.start(session, self.store(session), pairing=True)
        await self.scan(session, phone, (await self.recorder.next(QrCode, session)).text)
        await self.recorder.next(Connected, session)
        await self.recorder.next(Connected, session)

    linked = link

    async def scan(self, session: str, phone: str, qr: str) -> None:
        self.phones[session] = phone
        self.simulated.scan(session, phone)

    async def type_code(self, session: str, phone: str, code: str) -> None:
        self.simulated.type_code(session, code)

    async def drop(self, session: str) -> None:
        self.simulated.drop(session)

    async def unlink_on_the_phone(self, session: str) -> None:
        self.simulated.log_out(session)

    async def replace(self, session: str) -> None:
        self.simulated.replace(session)

    async def ban(self, session: str) -> None:
        self.simulated.ban(session, 3600)

    async def outdate(self, session: str) -> None:
        self.simulated.outdated(session)

    async def open_chat(self, session: str) -> None:
        self.simulated.read(session, self.simulated.sent[-1].wa_message_id)

    async def write(self, session: str, text: str) -> None:
        self.simulated.incoming(session, CLIENT, text)

    async def write_file(self, session: str, kind: str, data: bytes, **words: str) -> None:
        self.simulated.incoming_file(session, CLIENT, kind, data, **words)

    async def write_place(self, session: str, latitude: float, longitude: float, name: str) -> None:
        place = Location(latitude=latitude, longitude=longitude, name=name, address="")
        self.simulated.incoming(session, CLIENT, note="location", location=place)

    def lose_files(self) -> None:
        self.simulated.files.clear()

    async def kill_host(self, session: str) -> None:
        self.simulated.kill_host(session)

    def expect_texts(self, *texts: str) -> None:
        assert [sent.text for sent in self.simulated.sent] == list(texts)

    def received_files(self) -> list[ReceivedFile]:
        """What the client's phone can show of pictures and documents, in order."""
        sent = [(message.text, message.file) for message in self.simulated.sent if message.file]
        return [ReceivedFile(f.kind, f.mime, f.file_name, text, f.sha256) for text, f in sent]


class RealHarness:
    """The real library in real processes, led to the sandbox's server."""

    def __init__(self, folder: Path, sandbox: SandboxWhatsApp, **settings: Any) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.engine = NeonizeEngine(self.settings(sandbox, **settings))
        if isinstance(sandbox, SteadySandbox) and "held_open" not in settings:
            self.engine._registry.fleet._forks = SharedForkServer(self.settings(sandbox, **settings))
        self.recorder = EventRecorder(self.engine)
        self.phones: dict[str, str] = {}

    @staticmethod
    def settings(sandbox: SandboxWhatsApp, **changes: Any) -> EngineSettings:
        """Settings that lead to this sandbox, quicker than in production."""
        values: dict[str, Any] = {
            "proxy_url": sandbox.proxy_url,
            "ca_file": sandbox.ca_file,
            "noise_root": sandbox.noise_root,
            "sandbox": True,
            "settle": 0.1,
            "spare_hosts": 0,
        }
        return EngineSettings(**(values | changes))

    async def close(self) -> None:
        await self.engine.close()
        await self.recorder.end()

    def store(self, session: str) -> Path:
        return self.folder / f"{session}.db"

    async def link(self, session: str, phone: str = SALON) -> None:
        """From nothing to a session that is connected in its shard."""
        await self.engine.start(session, self.store(session), pairing=True)
        await self.scan(session, phone, (await self.recorder.next(QrCode, session)).text)
        await self.recorder.next(Connected, session)
        await self.recorder.next(Connected, session)

    async def linked(self, session: str, phone: str = SALON) -> None:
        """As `link`, by a device that was linked once for all tests: for those that are not about pairing."""
        prepared = await _prepared()
        store = Store(prepared)
        [account] = [account for account in store.load_accounts() if account.phone == phone]
        store.close()
        self.sandbox.hub.take_in(account)
        shutil.copy(prepared / f"{phone}.db", self.store(session))
        self.phones[session] = phone
        await self.engine.start(session, self.store(session), pairing=False)
        await self.recorder.next(Connected, session)

    async def scan(self, session: str, phone: str, qr: str) -> None:
        self.phones[session] = phone
        self.sandbox.create_phone(phone, "Salon")
        await self.sandbox.scan(phone, qr)

    async def type_code(self, session: str, phone: str, code: str) -> None:
        self.phones[session] = phone
        self.sandbox.create_phone(phone, "Salon")
        await self.sandbox.enter_code(phone, code)

    async def drop(self, session: str) -> None:
        self.sandbox.fault("drop", self.phones[session])

    async def unlink_on_the_phone(self, session: str) -> None:
        self.sandbox.remove_devices(self.phones[session])

    async def replace(self, session: str) -> None:
        self.sandbox.fault("replaced", self.phones[session])

    async def ban(self, session: str) -> None:
        self.sandbox.fault("failure", self.phones[session], reason=402, code=101, expire=3600)
        await self.drop(session)

    async def outdate(self, session: str) -> None:
        self.sandbox.fault("failure", self.phones[session], reason=405)
        await self.drop(session)

    async def open_chat(self, session: str) -> None:
        self.sandbox.read(CLIENT)

    async def write(self, session: str, text: str) -> None:
        self.sandbox.send(CLIENT, to=self.phones[session], text=text)

    async def write_file(self, session: str, kind: str, data: bytes, **words: str) -> None:
        self.sandbox.create_phone(CLIENT)
        self.sandbox.send_file(CLIENT, self.phones[session], kind, data, **words)  # type: ignore[arg-type]

    async def write_place(self, session: str, latitude: float, longitude: float, name: str) -> None:
        self.sandbox.create_phone(CLIENT)
        self.sandbox.send_place(CLIENT, self.phones[session], latitude, longitude, name)

    def lose_files(self) -> None:
        self.sandbox.fault("media", fault="missing")

    async def kill_host(self, session: str) -> None:
        os.kill(self.pid_of(session), signal.SIGKILL)

    def pid_of(self, session: str) -> int:
        """The process that holds the session."""
        host = self.engine._registry.slots[session].host
        assert host is not None
        return host.pid

    def received_files(self) -> list[ReceivedFile]:
        """What the client's phone can show of pictures and documents, fetched and opened, in order."""
        self.sandbox.create_phone(CLIENT)
        files = []
        for message in self.sandbox.phone(CLIENT)["inbox"]:
            if (said := message["attachment"]) is not None and not message["outgoing"]:
                data = self.sandbox.file(CLIENT, message["id"])[1]
                words = said["kind"], said["mime"], said["name"], message["text"]
                files.append(ReceivedFile(*words, hashlib.sha256(data).hexdigest()))
        return files

    def expect_texts(self, *texts: str) -> None:
        inbox = self.sandbox.phone(CLIENT)["inbox"]
        assert [message["text"] for message in inbox if not message["outgoing"]] == list(texts)


@functools.cache
def _folder() -> Path:
    return temporary_folder("linked-device")


async def _prepared() -> Path:
    """A folder with the key stores of two devices, named by their phones, and the server's state that knows
    them; made by the first who asks."""
    folder = _folder()
    if not (folder / DONE).exists():
        sandbox = SandboxWhatsApp(state_dir=folder)  # beside the test's own
        await sandbox.start()
        harness = RealHarness(folder, sandbox)
        await harness.link(SALON, SALON)
        await harness.link(CLIENT, CLIENT)
        await harness.close()
        await sandbox.stop()
        (folder / DONE).touch()
    return folder


AnyHarness = SimulatedHarness | RealHarness
