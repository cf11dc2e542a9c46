"""Finds the Chromium that the browser tests drive, and reads QR codes from its pictures.

`python -m tests.browser` prints the browser's path, or fails with a sentence that says what was looked for.
"""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium-headless-shell", "chromium", "google-chrome-stable", "google-chrome", "chromium-browser")
ARGUMENTS = [
    "--no-sandbox",  # root, and most containers, have no user namespaces for it
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


class NoBrowserError(Exception):
    """No page can be opened here; the sentence says what is missing."""


def find_browser() -> Path:
    """A Chromium that answers `--version`: `CHROMIUM`, the system's, or the one that playwright installed.

    Raises NoBrowserError, also when playwright itself cannot run: its Node wants the system's libatomic.
    """
    if not _runs(str(Path(sys.executable).parent / "playwright"), "Version"):
        raise NoBrowserError("playwright does not run; on Debian and Ubuntu it needs the package libatomic1")
    named = os.environ.get("CHROMIUM")
    for path in [named] if named else [shutil.which(name) for name in NAMES]:
        if path and _runs(path, "hrom"):
            return Path(path)
    own = None if named else _of_playwright()
    if own and _runs(own, "hrom"):
        return Path(own)
    raise NoBrowserError(f"no working Chromium: looked for {named or ', '.join(NAMES) + ', playwright'}")


def _of_playwright() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path: str = playwright.chromium.executable_path
        return path


def _runs(path: str, word: str) -> bool:
    """Ubuntu's chromium-browser is a script that only asks for the snap, so presence proves nothing."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and word in done.stdout


def decode_qr(png: bytes) -> str:
    """The text of the one QR code in a PNG picture; raises ValueError when there is none or more than one."""
    import zxingcpp
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        found = zxingcpp.read_barcodes(
            picture.convert("L"), formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
        )
    if len(found) != 1:
        raise ValueError(f"expected one QR code in the picture, found {len(found)}")
    text: str = found[0].text
    return text


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{find_browser()}\n")
    except NoBrowserError as missing:
        sys.exit(str(missing))
