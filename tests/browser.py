"""Finds the Chromium that the browser tests drive, and reads QR codes from its pictures.

`python -m tests.browser` prints the browser's path, or fails with a sentence that says what was looked for.
"""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "google-chrome-stable", "google-chrome", "chromium-browser")
ARGUMENTS = [
    "--no-sandbox",  # root, and most containers, have no user namespaces for it
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def find_browser() -> Path | None:
    """A Chromium that answers `--version`: `CHROMIUM`, the system's, or the one that playwright installed."""
    named = os.environ.get("CHROMIUM")
    candidates: list[str | None] = [named] if named else [shutil.which(name) for name in NAMES]
    if not named:
        candidates.append(_of_playwright())
    return next((Path(path) for path in candidates if path and _runs(path)), None)


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path: str = playwright.chromium.executable_path
        return path if Path(path).exists() else None


def _runs(path: str) -> bool:
    """Ubuntu's chromium-browser is a script that only asks for the snap, so presence proves nothing."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"hrom" in done.stdout


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
    browser = find_browser()
    if browser is None:
        sys.exit(f"no working Chromium: looked for {', '.join(NAMES)} on PATH and for playwright's own")
    sys.stdout.write(f"{browser}\n")
