"""The seam through which the unmodified library trusts another server than WhatsApp's own.

The library checks the server's Noise certificate chain against a root key that is compiled in. In sandbox
mode these 32 bytes are overwritten in the loaded library's memory; any server that speaks the protocol and
whose chain starts at the given key can then be used. Where the server is found is not decided here but by
HTTPS_PROXY and SSL_CERT_FILE in the process's environment: Go reads them once, at its start.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

WHATSAPP_NOISE_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


class TrustError(RuntimeError):
    """The root key could not be replaced; nothing was changed."""


def replace_noise_root(library: Path, root: bytes) -> None:
    """Overwrite the root key in the loaded shared object `library` with `root` (32 bytes).

    Raises TrustError unless the key is found exactly once in the library's writable memory.
    """
    if len(root) != len(WHATSAPP_NOISE_ROOT):
        raise TrustError("a noise root has 32 bytes")
    hits = [address for start, end in _writable_ranges(library) for address in _find(start, end)]
    if len(hits) != 1:
        raise TrustError(f"the library's noise root was found {len(hits)} times instead of once")
    ctypes.memmove(hits[0], root, len(root))


def _writable_ranges(library: Path) -> list[tuple[int, int]]:
    ranges = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[1].startswith("rw") and parts[5] == str(library):
            start, end = (int(part, 16) for part in parts[0].split("-"))
            ranges.append((start, end))
    return ranges


def _find(start: int, end: int) -> list[int]:
    memory = ctypes.string_at(start, end - start)
    found, position = [], memory.find(WHATSAPP_NOISE_ROOT)
    while position >= 0:
        found.append(start + position)
        position = memory.find(WHATSAPP_NOISE_ROOT, position + 1)
    return found
