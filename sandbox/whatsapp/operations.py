"""What can be asked of the sandbox's WhatsApp while it runs: its settings, its state, phones and faults."""

from __future__ import annotations

from typing import Any

from . import attachments, phones
from .account import Device, InboxMessage
from .hub import Hub
from .trouble import cause


class Operations:
    """Methods that act on a phone raise ``Refused`` with a sentence and an HTTP status."""

    hub: Hub
    proxy_url = ca_file = noise_root = ws_url = control_url = ""

    def settings(self) -> dict[str, str]:
        """The product's settings that lead its engine here."""
        return {
            "WHATSAPP_PROXY_URL": self.proxy_url,
            "WHATSAPP_CA_FILE": self.ca_file,
            "WHATSAPP_NOISE_ROOT": self.noise_root,
            "ws_url": self.ws_url,
            "control_url": self.control_url,
        }

    def state(self) -> dict[str, Any]:
        """Counters, standing faults, and how many connections there are of each kind."""
        everyone = self.hub.everyone
        return self.hub.journal.counters() | {
            "connections": len(everyone),
            "registering": sum(1 for c in everyone if c.pairing and not c.ending),
            "phones": len(self.hub.accounts),
            "faults": self.hub.faults.describe(),
        }

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        return self.hub.journal.since(since)

    def create_phone(
        self, phone: str, name: str = "", *, auto_read: bool | None = None, registered: bool | None = None
    ) -> dict[str, Any]:
        account = phones.create(self.hub, phone=phone, name=name, auto_read=auto_read, registered=registered)
        return phones.describe(self.hub, account)

    def list_phones(self) -> list[dict[str, Any]]:
        return [phones.describe(self.hub, account) for account in self.hub.accounts.values()]

    def phone(self, phone: str) -> dict[str, Any]:
        return phones.describe(self.hub, self.hub.existing(phone), full=True)

    async def scan(self, phone: str, qr: str) -> Device:
        return await phones.scan(self.hub, phone=phone, qr=qr)

    async def enter_code(self, phone: str, code: str) -> Device:
        return await phones.enter_code(self.hub, phone=phone, code=code)

    def send(self, phone: str, to: str, text: str) -> InboxMessage:
        return phones.send(self.hub, phone=phone, to=to, text=text)

    def send_file(
        self, phone: str, to: str, kind: str, data: bytes, *, mime: str, name: str = "", caption: str = "",
        claims: dict[str, Any] | None = None,
    ) -> InboxMessage:  # fmt: skip
        """Send a picture (`image`), `voice`, `document` …; `claims` replace what the message says of it."""
        attachment = attachments.of_file(self.hub, kind, data, mime=mime, name=name, claims=claims or {})
        return phones.send(self.hub, phone=phone, to=to, text=caption, attachment=attachment)

    def send_place(
        self, phone: str, to: str, latitude: float, longitude: float, name: str = ""
    ) -> InboxMessage:
        place = attachments.of_place(latitude, longitude, name)
        return phones.send(self.hub, phone=phone, to=to, text="", attachment=place)

    def file(self, phone: str, message_id: str) -> tuple[str, bytes]:
        """The MIME type and the bytes of a message's file, as the phone opens it."""
        message = phones.message(self.hub, phone=phone, message_id=message_id)
        attachment = message.attachment
        return str((attachment or {}).get("mime", "")), attachments.file_of(self.hub, attachment)

    def read(self, phone: str, chat: str | None = None) -> int:
        return phones.read(self.hub, phone=phone, chat=chat)

    def remove_devices(self, phone: str, device: int | None = None) -> int:
        return phones.remove_devices(self.hub, phone=phone, device=device)

    def set_online(self, phone: str, online: bool) -> None:
        phones.set_online(self.hub, phone=phone, online=online)

    def fault(self, kind: str, phone: str | None = None, **more: Any) -> dict[str, Any]:
        """Cause trouble now or for later; see ``trouble.cause`` for kinds and their fields."""
        return cause(self.hub, kind, phone, more)
