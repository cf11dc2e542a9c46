"""The state that all connections share: accounts, who is linked, and the way to a device."""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import asdict, dataclass

from . import noise
from .account import Account, Device, new_account
from .client import Client, Line
from .curve import KeyPair
from .faults import Faults
from .journal import Journal
from .media_files import MediaFiles
from .node import LID_SERVER, Jid, Node, encode
from .noise import NoiseIdentity
from .refusal import Refused
from .store import Store

PHONE_PATTERN = re.compile(r"^[1-9][0-9]{6,14}$")


@dataclass(slots=True)
class Options:
    """Times in seconds, and limits of an account.

    ``closing_delay``: neonize loses the last stanza, and does not come back after a pairing, when the line
    closes at once or after 0.05 s; 0.3 s held in every try, WhatsApp itself takes a second or more.
    """

    quiet_after_handshake: float = 0.05
    closing_delay: tuple[float, float] = (1.0, 1.5)
    qr_first: float = 60.0
    qr_next: float = 20.0
    qr_grace: float = 3.0
    code_lifetime: float = 65.0
    pairing_timeout: float = 20.0
    most_devices: int = 4


def digits(phone: str) -> str:
    """A phone number as WhatsApp writes it, without plus and spaces; raises Refused."""
    number = re.sub(r"[\s()+-]", "", phone)
    if not PHONE_PATTERN.match(number):
        raise Refused(400, "This is not a phone number in international form.")
    return number


class Hub:
    """Accounts by number and by LID, live connections by (phone, device), and registrations."""

    def __init__(self, store: Store, media: MediaFiles, options: Options | None = None) -> None:
        self.store = store
        self.media = media
        self.media_token = secrets.token_hex(16)
        self.media_port = 0
        self.options = options or Options()
        self.journal = Journal()
        self.faults = Faults()
        self.accounts: dict[str, Account] = {}
        self.by_lid: dict[str, Account] = {}
        self.connections: dict[tuple[str, int], Client] = {}
        self.lines: set[Line] = set()
        self.everyone: set[Client] = set()
        self.relays: set[asyncio.Transport] = set()
        self.unregistered: set[str] = set(store.get("meta", "unregistered") or [])
        self.noise_identity = self._noise_identity()
        self.chain = noise.certificate(self.noise_identity)
        for account in store.load_accounts():
            self.take_in(account)

    def _noise_identity(self) -> NoiseIdentity:
        kept = self.store.get("meta", "noise")
        if kept:
            return NoiseIdentity(**{name: KeyPair(**pair) for name, pair in kept.items()})
        identity = noise.new_identity()
        self.store.put("meta", "noise", asdict(identity))
        return identity

    def take_in(self, account: Account) -> None:
        """Know an account, with the devices that are linked to it."""
        self.accounts[account.phone] = account
        self.by_lid[account.lid] = account

    def account(self, phone: str, name: str = "") -> Account:
        """The account of a number (digits), made when it is new."""
        account = self.accounts.get(phone)
        if account is None:
            account = new_account(phone, name or f"+{phone}")
            self.take_in(account)
            self.store.save_account(account)
        return account

    def existing(self, phone: str) -> Account:
        """The account of a number in any spelling; raises Refused when there is none."""
        account = self.accounts.get(digits(phone))
        if account is None:
            raise Refused(404, "There is no phone with this number here. Create it first.")
        return account

    def set_registered(self, phone: str, registered: bool) -> None:
        """Whether a number is on WhatsApp at all; every number is until told otherwise."""
        (self.unregistered.discard if registered else self.unregistered.add)(phone)
        self.store.put("meta", "unregistered", sorted(self.unregistered))

    def find(self, jid: Jid | None) -> Account | None:
        """The account behind an address; a phone that nobody asked for before is made now."""
        if jid is None:
            return None
        if jid.server == LID_SERVER:
            account = self.by_lid.get(jid.user)
            return account if account and account.phone not in self.unregistered else None
        number = jid.user.removeprefix("+")
        if number in self.unregistered or not PHONE_PATTERN.match(number):
            return None
        return self.account(number)

    def connection(self, account: Account, number: int) -> Client | None:
        return self.connections.get((account.phone, number))

    def link(self, connection: Client) -> Client | None:
        """Register a logged-in connection; gives the one that it replaces."""
        key = connection.key
        older = self.connections.get(key)
        self.connections[key] = connection
        self.journal.link_up(f"{key[0]}:{key[1]}")
        return older

    def unlink(self, connection: Client) -> None:
        key = connection.key
        self.journal.link_down(f"{key[0]}:{key[1]}")
        if self.connections.get(key) is connection:
            del self.connections[key]

    def next_device(self, account: Account) -> int:
        """A device number that nobody has had; each is given once, also to links that fail."""
        account.next_device += 1
        self.store.save_account(account)
        return account.next_device - 1

    def add_device(self, account: Account, device: Device) -> None:
        account.devices[device.number] = device
        self.store.save_device(account, device)

    def remove_device(self, account: Account, number: int) -> None:
        """Forget a companion; its connection ends with the error that means "removed"."""
        if account.devices.pop(number, None) is None:
            return
        self.store.delete_device(account, number)
        self.journal.note("device_removed", phone=account.phone, device=number)
        connection = self.connection(account, number)
        if connection:
            conflict = Node("conflict", {"type": "device_removed"})
            connection.end(Node("stream:error", {"code": "401"}, [conflict]), "device_removed")

    def deliver(self, account: Account, device: Device, node: Node) -> None:
        """Send a stanza to a companion, now or when it is back; it stays queued until acknowledged."""
        device.queue[queue_key(node.tag, node.attrs)] = encode(node)
        self.store.save_queue(account, device)
        connection = self.connection(account, device.number)
        if connection:
            connection.send(node)

    def acknowledge(self, account: Account, device: Device, key: str) -> None:
        if device.queue.pop(key, None) is not None:
            self.store.save_queue(account, device)


def queue_key(kind: str, attrs: dict[str, str]) -> str:
    """What tells queued stanzas apart; receipts of several types share one message id."""
    suffix = attrs.get("type", "") if kind == "receipt" else ""
    return f"{kind}:{attrs.get('id', '')}:{suffix}"
