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
OTHER_LANGUAGES = ("es",)
MARKERS = {"gettext", "gettext_lazy", "gettext_noop", "pgettext", "ngettext", "ngettext_lazy"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}|</?b>")
ENTRY = re.compile(r'^msgid ((?:"(?:.*)"\n)+)msgstr ((?:"(?:.*)"(?:\n|\Z))+)', re.MULTILINE)


def entries(language: str = "ru") -> dict[str, str]:
    """The text file: msgid to its sentence in the language, the header left out."""
    text = (ROOT / "locale" / language / "LC_MESSAGES" / "django.po").read_text()
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


@pytest.mark.parametrize("language", ["ru", *OTHER_LANGUAGES])
def test_the_compiled_file_is_that_of_the_text_file(language: str) -> None:
    with (ROOT / "locale" / language / "LC_MESSAGES" / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)
    for msgid, russian in entries(language).items():
        assert catalog.gettext(msgid) == russian


def test_no_entry_is_doubtful() -> None:
    assert "fuzzy" not in (FOLDER / "django.po").read_text()


def owner_sentences() -> set[str]:
    """What pages say to salon owners: these exist in every language."""
    found = {msgid for path in source_files("onboarding") for msgid in _in_python(path)}
    for folder in ("onboarding", "templates"):
        for path in (ROOT / folder).rglob("*.html"):
            found |= set(_in_template(path))
    return found


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_owners_are_spoken_to_in_every_language(language: str) -> None:
    known = {msgid for msgid, said in entries(language).items() if said}
    assert sorted(owner_sentences() - known) == []
    assert sorted(known - said()) == []


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_every_language_has_its_plural_forms(language: str) -> None:
    assert "Plural-Forms: nplurals=" in (ROOT / "locale" / language / "LC_MESSAGES" / "django.po").read_text()


@pytest.mark.parametrize("brand", ["ru", "en", *OTHER_LANGUAGES])
def test_the_other_brands_sentences_are_made_of_ours(brand: str) -> None:
    source = entries("ru" if brand == "en" else brand)
    wanted = {
        msgid: (msgid if brand == "en" else said)
        .replace("YClients", "Altegio")
        .replace("YCLIENTS", "Altegio")
        for msgid, said in source.items()
        if "yclients" in (msgid + said).lower()
    }
    folder = ROOT / "locale_altegio" / brand / "LC_MESSAGES"
    with (folder / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)
    assert {msgid: catalog.gettext(msgid) for msgid in wanted} == wanted


@pytest.mark.parametrize("language", ["ru", *OTHER_LANGUAGES])
@pytest.mark.parametrize("sign", ["%", "{", "<"])
def test_placeholders_survive_the_translation(sign: str, language: str) -> None:
    for msgid, russian in entries(language).items():
        expected = sorted(name for name in PLACEHOLDER.findall(msgid) if name.startswith(sign))
        assert sorted(name for name in PLACEHOLDER.findall(russian) if name.startswith(sign)) == expected, (
            msgid
        )
