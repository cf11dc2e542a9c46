"""What the live channel sends when the picture of a session changed."""

from typing import Any

# Seconds run by themselves on the page; a new text of a code says that they start again. A payment address is
# signed anew each time it is read, and lives as long as the page's token.
RUNNING = {"qrExpiresIn", "pairingCodeExpiresIn", "paymentUrl"}


def differ(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """True when a page would show something else."""
    return any(before[name] != after[name] for name in after if name not in RUNNING)


def is_older(picture: dict[str, Any], *, than: dict[str, Any]) -> bool:
    """True for a picture that was taken before another of the same session."""
    return bool(picture["generation"] == than["generation"] and picture["version"] < than["version"])


def _lost(picture: dict[str, Any]) -> str:
    """Why the last link is gone; empty while one stands, or when there was none."""
    said: str = picture["lostLink"] or (picture["message"] if picture["status"] == "logged_out" else "")
    return said


def derive(before: dict[str, Any] | None, after: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events for a page that has `before` (None: nothing yet): the snapshot, then what is new."""

    def new(name: str) -> bool:
        return bool(after[name]) and (before is None or before[name] != after[name])

    events: list[dict[str, Any]] = [{"event": "status", **after}]
    if new("qr"):
        events.append({"event": "qr-update", "qr": after["qr"], "expiresIn": after["qrExpiresIn"]})
    if new("pairingCode"):
        events.append(
            {
                "event": "pairing-code",
                "code": after["pairingCode"],
                "phoneNumber": after["pairingPhone"],
                "expiresIn": after["pairingCodeExpiresIn"],
            }
        )
    if new("pairingError"):
        events.append(
            {
                "event": "pairing-code-error",
                "code": after["pairingError"],
                "message": after["pairingErrorMessage"],
            }
        )
    if (lost := _lost(after)) and (before is None or not _lost(before)):
        events.append({"event": "error", "code": "logged_out", "message": lost})
    if new("connected"):
        events.append(
            {
                "event": "whatsapp-connected",
                "success": True,
                "phone": after["phoneNumber"],
                "companyId": after["companyId"],
                "message": after["message"],
            }
        )
    if new("activation") and after["activation"]["status"] != "waiting":
        events.append({"event": "activation", **after["activation"]})
    return events
