"""Signal sessions as WhatsApp uses them: X3DH and the double ratchet, message version 3.

https://signal.org/docs/specifications/x3dh/ and /doubleratchet/; the byte layout is libsignal's.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from . import ciphers, curve
from .curve import KeyPair
from .wire import bytes_field, read_fields, write_field

VERSION = b"\x33"
CHAINS_KEPT = 5
MOST_SKIPPED = 2000
STATES_KEPT = 5


class CannotDecrypt(Exception):
    """No session fits the message, or it is damaged."""


@dataclass(slots=True)
class Chain:
    """A receiving chain: their ratchet key, the next message's key and number, keys passed over."""

    their_key: bytes
    key: bytes
    count: int = 0
    skipped: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """One side's state of a conversation with one device."""

    their_identity: bytes
    base_key: bytes  # of the side that began; tells sessions apart
    root: bytes
    ratchet: KeyPair
    sending_key: bytes
    sending_count: int = 0
    previous_count: int = 0
    chains: list[Chain] = field(default_factory=list)
    unanswered: tuple[int, int, int] | None = None  # registration id, prekey id or -1, signed prekey id


@dataclass(frozen=True, slots=True)
class Bundle:
    """The public keys needed to begin a session with a device."""

    registration_id: int
    identity: bytes
    signed_prekey_id: int
    signed_prekey: bytes
    prekey_id: int | None
    prekey: bytes | None


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The private side that a receiver needs; ``prekey`` takes an id and gives the pair or None."""

    identity: KeyPair
    signed_prekey: KeyPair
    prekey: Callable[[int], KeyPair | None]


def begin(identity: KeyPair, registration_id: int, bundle: Bundle) -> Session:
    """A session to a device that we have only the bundle of."""
    base = curve.new_key_pair()
    secrets = [
        curve.agree(identity.private, bundle.signed_prekey),
        curve.agree(base.private, bundle.identity),
        curve.agree(base.private, bundle.signed_prekey),
    ]
    if bundle.prekey is not None:
        secrets.append(curve.agree(base.private, bundle.prekey))
    root, chain = ciphers.first_keys(secrets)
    ratchet = curve.new_key_pair()
    session = Session(bundle.identity, base.public, root, ratchet, b"")
    session.chains.append(Chain(bundle.signed_prekey, chain))
    session.root, session.sending_key = ciphers.step(root, ratchet.private, bundle.signed_prekey)
    prekey_id = -1 if bundle.prekey_id is None else bundle.prekey_id
    session.unanswered = (registration_id, prekey_id, bundle.signed_prekey_id)
    return session


def encrypt(session: Session, identity: KeyPair, plain: bytes) -> tuple[str, bytes]:
    """The kind (``pkmsg`` until the other side has answered, then ``msg``) and the sealed message."""
    cipher_key, mac_key, iv = ciphers.message_keys(ciphers.seed(session.sending_key))
    body = VERSION + (
        write_field(1, b"\5" + session.ratchet.public)
        + write_field(2, session.sending_count)
        + write_field(3, session.previous_count)
        + write_field(4, ciphers.cbc(cipher_key, iv, ciphers.pad(plain)))
    )
    sealed = body + ciphers.mac(mac_key, identity.public, session.their_identity, body)
    session.sending_count += 1
    session.sending_key = hmac.digest(session.sending_key, b"\2", "sha256")
    if session.unanswered is None:
        return "msg", sealed
    registration_id, prekey_id, signed_prekey_id = session.unanswered
    envelope = write_field(1, prekey_id) if prekey_id >= 0 else b""
    envelope += write_field(2, b"\5" + session.base_key) + write_field(3, b"\5" + identity.public)
    envelope += write_field(4, sealed) + write_field(5, registration_id) + write_field(6, signed_prekey_id)
    return "pkmsg", VERSION + envelope


def decrypt(states: list[Session], own: OwnKeys, kind: str, sealed: bytes) -> bytes:
    """Open a message and advance the sessions (newest first, changed in place); raises CannotDecrypt."""
    try:
        if kind == "pkmsg":
            sealed = _open_envelope(states, own, sealed)
        return ciphers.unpad(_try_all(states, own.identity, sealed))
    except (ValueError, KeyError, IndexError) as error:
        raise CannotDecrypt(f"a damaged message: {type(error).__name__}") from error


def _open_envelope(states: list[Session], own: OwnKeys, sealed: bytes) -> bytes:
    fields = read_fields(sealed[1:])
    base, inner = bytes_field(fields, 2)[1:], bytes_field(fields, 4)
    if any(state.base_key == base for state in states):
        return inner
    their_identity = bytes_field(fields, 3)[1:]
    secrets = [
        curve.agree(own.signed_prekey.private, their_identity),
        curve.agree(own.identity.private, base),
        curve.agree(own.signed_prekey.private, base),
    ]
    if 1 in fields:
        prekey = own.prekey(int(fields[1]))
        if prekey is None:
            raise CannotDecrypt("the prekey was used before")
        secrets.append(curve.agree(prekey.private, base))
    root, chain = ciphers.first_keys(secrets)
    states.insert(0, Session(their_identity, base, root, own.signed_prekey, chain))
    del states[STATES_KEPT:]
    return inner


def _try_all(states: list[Session], identity: KeyPair, sealed: bytes) -> bytes:
    body, mac = sealed[: -ciphers.MAC_SIZE], sealed[-ciphers.MAC_SIZE :]
    fields = read_fields(body[1:])
    their_key, count = bytes_field(fields, 1)[1:], int(fields.get(2, 0))
    for index, state in enumerate(states):
        opened = _try_one(state, identity, their_key, count, body, mac)
        if opened is not None:
            states.insert(0, states.pop(index))
            return ciphers.uncbc(*opened, bytes_field(fields, 4))
    raise CannotDecrypt("no session fits the message")


def _try_one(
    state: Session, identity: KeyPair, their_key: bytes, count: int, body: bytes, mac: bytes
) -> tuple[bytes, bytes] | None:
    """Cipher key and IV when the message belongs to this state, which is changed only then."""
    known = next((chain for chain in state.chains if chain.their_key == their_key), None)
    root = state.root
    if known is None:
        root, key = ciphers.step(state.root, state.ratchet.private, their_key)
        chain = Chain(their_key, key)
    else:
        chain = known
    seed, key, passed = _find_seed(chain, count)
    cipher_key, mac_key, iv = ciphers.message_keys(seed)
    if not hmac.compare_digest(ciphers.mac(mac_key, state.their_identity, identity.public, body), mac):
        return None
    if count < chain.count:
        del chain.skipped[count]
    else:
        chain.skipped |= passed
        chain.key, chain.count = key, count + 1
    if known is None:
        _turn(state, root, chain)
    state.unanswered = None
    return cipher_key, iv


def _turn(state: Session, root: bytes, chain: Chain) -> None:
    """Their ratchet key is new: keep the chain and make a new sending chain of our own."""
    state.chains.append(chain)
    del state.chains[:-CHAINS_KEPT]
    state.previous_count = max(state.sending_count - 1, 0)
    state.ratchet = curve.new_key_pair()
    state.root, state.sending_key = ciphers.step(root, state.ratchet.private, chain.their_key)
    state.sending_count = 0


def _find_seed(chain: Chain, count: int) -> tuple[bytes, bytes, dict[int, bytes]]:
    """The message's seed, the chain key after it, and the seeds passed over on the way."""
    if count < chain.count:
        return chain.skipped[count], chain.key, {}
    if count - chain.count > MOST_SKIPPED:
        raise CannotDecrypt("a message from too far ahead")
    key, passed = chain.key, {}
    for number in range(chain.count, count):
        passed[number] = ciphers.seed(key)
        key = hmac.digest(key, b"\2", "sha256")
    return ciphers.seed(key), hmac.digest(key, b"\2", "sha256"), passed
