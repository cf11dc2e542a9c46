"""Every sentence that the product says is Russian as well, and the compiled file is made of the text file."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

from tests.environment import ROOT
from tests.test_architecture import source_files

FOLDER = ROOT / "locale" / "ru" / "LC_MESSAGES"
MARKERS = {"gettext", "gettext_lazy", "gettext_noop", "pgettext", "ngettext", "ngettext_lazy"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}|</?b>")
ENTRY = re.compile(r'^msgid ((?:"(?:.*)"\n)+)msgstr ((?:"(?:.*)"(?:\n|\Z))+)', re.MULTILINE)


def entries() -> dict[str, str]:
    """The text file: msgid to its Russian sentence, the header left out."""
    text = (FOLDER / "django.po").read_text()
    found = {_joined(entry.group(1)): _joined(entry.group(2)) for entry in ENTRY.finditer(text)}
    found.pop("")
    return found


def _joined(lines: str) -> str:
    return "".join(ast.literal_eval(line) for line in lines.strip().split("\n"))


def said() -> set[str]:
    """Every msgid in the product's Python files and templates."""
    found = set()
    for path in source_files("config", "marketplace", "onboarding", "whatsapp"):
        found |= set(_in_python(path))
    for path in _templates():
        found |= set(_in_template(path))
    return found


def _in_python(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
            names |= {alias.asname or alias.name for alias in node.names if alias.name in MARKERS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def _templates() -> list[Path]:
    return [
        path
        for folder in ("templates", "config/templates", "marketplace", "onboarding", "whatsapp")
        for path in sorted((ROOT / folder).rglob("*.html"))
    ]


def _in_template(path: Path) -> Iterator[str]:
    for call in re.finditer(
        r"""gettext\(u?('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""", templatize(path.read_text())
    ):
        yield ast.literal_eval(call.group(1))


def test_every_sentence_is_translated() -> None:
    known = {msgid for msgid, russian in entries().items() if russian}
    assert sorted(said() - known) == []


def test_no_translation_is_left_of_a_sentence_that_is_gone() -> None:
    assert sorted(entries().keys() - said()) == []


def test_the_compiled_file_is_that_of_the_text_file() -> None:
    with (FOLDER / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)
    for msgid, russian in entries().items():
        assert catalog.gettext(msgid) == russian


def test_no_entry_is_doubtful() -> None:
    assert "fuzzy" not in (FOLDER / "django.po").read_text()


@pytest.mark.parametrize("sign", ["%", "{", "<"])
def test_placeholders_survive_the_translation(sign: str) -> None:
    for msgid, russian in entries().items():
        expected = sorted(name for name in PLACEHOLDER.findall(msgid) if name.startswith(sign))
        assert sorted(name for name in PLACEHOLDER.findall(russian) if name.startswith(sign)) == expected, (
            msgid
        )
