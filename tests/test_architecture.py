"""Rules of the source tree that no single module can keep: who may import whom, and what git never holds."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.environment import ROOT

PRODUCT = ("config", "onboarding", "marketplace", "whatsapp")
# onboarding -> marketplace -> whatsapp -> nothing; config wires them, and config.shared serves them all.
MAY_IMPORT = {
    "config": {"config", "onboarding", "marketplace", "whatsapp"},
    "onboarding": {"config", "onboarding", "marketplace", "whatsapp"},
    "marketplace": {"config", "marketplace", "whatsapp"},
    "whatsapp": {"config", "whatsapp"},
}
CATCH_ALL_NAMES = {"utils", "helpers", "constants", "signals", "selectors", "common", "misc"}


@cache
def source_files(*folders: str) -> list[Path]:
    """The Python files of the given top folders that git holds or would hold."""
    listed = _git("ls-files", "--cached", "--others", "--exclude-standard", "--", *folders)
    return [ROOT / name for name in listed if name.endswith(".py") and (ROOT / name).exists()]


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@cache
def imports_of(path: Path, package: str = "") -> set[str]:
    """The dotted names of every module imported anywhere in the file, functions included; those relative
    to its package only when that is named."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level and package:
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parts, node.module] if node.module else parts)
            found |= {f"{base}.{name.name}" for name in node.names}
    return found


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def offenders(files: list[Path], forbidden: re.Pattern[str]) -> list[str]:
    return [
        f"{relative(path)} imports {name}"
        for path in files
        for name in sorted(imports_of(path))
        if forbidden.match(name)
    ]


@pytest.mark.parametrize("app", PRODUCT)
def test_imports_go_one_way(app: str) -> None:
    others = {*PRODUCT, "sandbox", "tests", "bench"} - MAY_IMPORT[app]
    forbidden = re.compile(rf"({'|'.join(sorted(others))})(\.|$)")
    assert offenders(source_files(app), forbidden) == []


def test_apps_use_of_config_only_what_knows_no_app() -> None:
    outside_shared = re.compile(r"config\.(?!shared(\.|$))")
    assert offenders(source_files("onboarding", "marketplace", "whatsapp"), outside_shared) == []
    apps = re.compile(r"(onboarding|marketplace|whatsapp)(\.|$)")
    assert offenders(source_files("config/shared"), apps) == []


ROOMS_OF_WHATSAPP = ("crypto", "models", "sessions", "media", "messages", "pool")  # the lowest first


def test_rooms_of_whatsapp_import_only_lower_ones() -> None:
    rooms = ROOMS_OF_WHATSAPP
    for place, room in enumerate(rooms):
        higher = re.compile(rf"whatsapp\.({'|'.join((*rooms[place + 1 :], 'admin', 'management'))})(\.|$)")
        assert offenders(source_files(f"whatsapp/{room}"), higher) == []
    outside = re.compile(r"whatsapp\.(?!engine(\.|$))")
    assert offenders(source_files("whatsapp/engine"), outside) == []


# `notifications` and `bookings` do not know each other; none of these knows `admin` and `api`.
ROOMS_OF_MARKETPLACE = (
    "models", "yclients", "salons", "inbound", "notifications", "bookings", "webhooks", "sync",
    "alerts", "billing", "privacy", "worker",
)  # fmt: skip


def test_rooms_of_the_marketplace_import_only_lower_ones() -> None:
    rooms = ROOMS_OF_MARKETPLACE
    for place, room in enumerate(rooms):
        above = (*rooms[place + 1 :], "admin", "api", "management")
        higher = re.compile(rf"marketplace\.({'|'.join(above)})(\.|$)")
        assert offenders(source_files(f"marketplace/{room}"), higher) == []
    siblings = re.compile(r"marketplace\.notifications(\.|$)")
    assert offenders(source_files("marketplace/bookings"), siblings) == []


ROOMS_OF_ONBOARDING = ("rendering", "linking", "api", "live", "cabinet", "arrival")


def test_rooms_of_the_onboarding_import_only_lower_ones() -> None:
    rooms = ROOMS_OF_ONBOARDING
    for place, room in enumerate(rooms):
        above = (*rooms[place + 1 :], "urls", "legal", "error_views")
        higher = re.compile(rf"onboarding\.({'|'.join(above)})(\.|$)")
        assert offenders(source_files(f"onboarding/{room}"), higher) == []
    siblings = re.compile(r"onboarding\.api(\.|$)")
    assert offenders(source_files("onboarding/live"), siblings) == []


def module_graph(files: list[Path]) -> dict[str, set[str]]:
    """The modules of these files, each with those of them that it imports, for type checking too."""
    names = {
        relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in files
    }
    graph = {}
    for name, path in names.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = imports_of(path, package)
        graph[name] = {one if one in names else one.rpartition(".")[0] for one in found} & names.keys() - {
            name
        }
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which leads by imports to every other one of its group."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {frozenset(m for m in reach[name] if name in reach[m]) for name in graph if name in reach[name]}
    return sorted(sorted(group) for group in groups)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(module_graph(source_files(*PRODUCT, "sandbox", "bench"))) == []


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(graph) == [["b", "c"]]


def test_the_whatsapp_library_is_loaded_only_by_the_engine_host() -> None:
    outside = [
        path
        for path in source_files(*PRODUCT)
        if not re.match(r"whatsapp/engine/host\w*(\.py|/)", relative(path))
    ]
    assert offenders(outside, re.compile(r"neonize(\.|$)")) == []


def test_the_engine_knows_no_django() -> None:
    assert offenders(source_files("whatsapp/engine"), re.compile(r"(django|channels|config)(\.|$)")) == []


def test_only_three_modules_speak_http() -> None:
    # One calls YClients at the settings' addresses, one posts to addresses that arrive from outside, and one
    # fetches files from WhatsApp's media host.
    may = (
        "marketplace/yclients/http.py",
        "marketplace/yclients/safe_http.py",
        "whatsapp/engine/media_download.py",
    )
    outside = [path for path in source_files(*PRODUCT) if relative(path) not in may]
    libraries = r"(requests|urllib3|httpx|aiohttp|urllib\.request|http\.client)(\.|$)"
    assert offenders(outside, re.compile(libraries)) == []


def test_only_the_settings_read_the_environment() -> None:
    # The engine's supervisor hands its own environment on to the host that it starts.
    allowed = re.compile(r"config/(settings|asgi|ingest)\.py|whatsapp/engine/supervisor/launch\.py")
    readers = [
        relative(path)
        for path in source_files(*PRODUCT)
        if not allowed.fullmatch(relative(path))
        and re.search(r"os\.environ\b|os\.getenv\b|environ\.Env\(", path.read_text())
    ]
    assert readers == []


def test_no_module_is_named_as_a_drawer_for_anything() -> None:
    named = [relative(path) for path in source_files() if path.stem in CATCH_ALL_NAMES]
    assert named == []


def text_files() -> Iterator[tuple[str, str]]:
    for name in _git("ls-files"):
        try:
            yield name, (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue


def test_no_file_names_a_package_host_or_a_place_on_one_machine() -> None:
    hosts = r"pypi\.org|pythonhosted|files\.python|registry\.npmjs|--(extra-)?index-url|--find-links"
    places = r"(?<![\w/.])/(root|work|home/\w+|Users/\w+|opt/(pypi|wheels))(/|\b)"
    forbidden = re.compile(f"{hosts}|{places}")
    found = [
        f"{name}:{number}: {match.group()}"
        for name, text in text_files()
        if name != relative(Path(__file__))
        for number, line in enumerate(text.splitlines(), 1)
        if (match := forbidden.search(line))
    ]
    assert found == []


def test_every_pinned_package_has_its_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
        assert [
            block.split()[0] for block in blocks if "==" not in block or "--hash=sha256:" not in block
        ] == []
