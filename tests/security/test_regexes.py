"""No text makes a regular expression of the product slow: every one of them is tried with hostile input."""

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from config.shared.masking import mask_text, mask_value
from tests.test_architecture import PRODUCT, relative, source_files
from whatsapp.engine.supervisor.scrub import scrub

LENGTH = 64 * 1024
MOST_SECONDS = 0.05  # of processor time, the best of three tries: other processes do not count
FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
# What a run is made of: characters that some class takes, and pairs that begin something again and again.
PIECES = (
    *("a", "A", "1", " ", "-", ".", "=", ":", "/", "\\", "'", '"', "(", "+", "@", ",", "\x00", "Ж", "\u2588"),
    *("a-", "1-", "a.", "1 ", "+1", "a=", "://a:", "2@a,", "(1) ", "[1]", " =", "a@", "\\'", "1.", "0f"),
)
AFTER_A_WORD = ("a", "1", " ", "-", "/", "\\", "'", "+", "1,", "a-")


@cache
def patterns() -> dict[str, re.Pattern[Any]]:
    """Every pattern that the product's own source and its addresses name, by where it stands."""
    found = {}
    for path in source_files(*PRODUCT):
        if "migrations" not in path.parts and path.name != "asgi.py":
            name = relative(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            for line, pattern in _named_in(ast.parse(path.read_text()), name):
                found[f"{relative(path)}:{line}"] = pattern
    for number, pattern in enumerate(_of_addresses(get_resolver())):
        found[f"address {number} {pattern.pattern}"] = pattern
    return found


def _named_in(tree: ast.AST, module: str) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """The patterns given to functions of `re`, with the module's own names filled in."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in FUNCTIONS
        ):
            names = vars(importlib.import_module(module))
            arguments = [*node.args[:1], *(node.args[1:2] if node.func.attr == "compile" else [])]
            given = [eval(ast.unparse(each), dict(names)) for each in arguments]  # noqa: S307  our own source
            yield f"{node.lineno}:{node.col_offset}", re.compile(*given)


def _of_addresses(resolver: URLResolver) -> Iterator[re.Pattern[str]]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern | URLResolver) and hasattr(entry.pattern, "regex"):
            yield entry.pattern.regex
        if isinstance(entry, URLResolver):
            yield from _of_addresses(entry)


def hostile_inputs(pattern: str, length: int) -> Iterator[str]:
    """Long runs alone, and after and between the words that the pattern itself looks for."""
    for piece in PIECES:
        yield (piece * length)[: length - 1] + "!"
    plain = re.sub(r"\(\?[a-zA-Z]+\)|\{[\d,]*\}", " ", pattern)
    words = {found.replace("\\", "") for found in re.findall(r"(?:[a-zA-Z0-9_@:/#+]|\\[./+-]){3,}", plain)}
    for word in sorted(words, key=len)[-4:]:
        for piece in AFTER_A_WORD:
            yield word + (piece * length)[: length - len(word) - 1] + "!"
            yield ((word + piece) * length)[:length]


def seconds(call: Callable[[], Any]) -> float:
    """Processor time of the fastest of three calls; one is enough when it is fast."""
    best = float("inf")
    for _try in range(3):
        started = time.thread_time()
        call()
        best = min(best, time.thread_time() - started)
        if best <= MOST_SECONDS:
            break
    return best


def use(pattern: re.Pattern[Any], text: Any) -> None:
    """The two ways in which a pattern tries hardest: from every place, and to the very end."""
    if isinstance(pattern.pattern, bytes):
        text = text.encode()
    pattern.sub(text[:0], text)
    pattern.fullmatch(text)


def is_slow(pattern: re.Pattern[Any], text: str, quarter: str) -> bool:
    """What takes a sixteenth of the time for a quarter of the text is quick, though it grew by the square."""
    if seconds(lambda: use(pattern, quarter)) <= MOST_SECONDS / 16:
        return False
    return seconds(lambda: use(pattern, text)) > MOST_SECONDS


@pytest.mark.timeout(600)
def test_every_pattern_takes_64_kb_of_hostile_text_in_50_ms() -> None:
    assert len(patterns()) > 30
    distinct = {(pattern.pattern, pattern.flags): (where, pattern) for where, pattern in patterns().items()}
    slow = [
        (where, text[:20], text[-5:])
        for where, pattern in distinct.values()
        for text, quarter in zip(
            hostile_inputs(str(pattern.pattern), LENGTH),
            hostile_inputs(str(pattern.pattern), LENGTH // 4),
            strict=True,
        )
        if is_slow(pattern, text, quarter)
    ]
    assert slow == []


def test_a_pattern_whose_time_grows_by_the_square_is_found() -> None:
    length = LENGTH // 8
    assert is_slow(re.compile(r"\s+$"), " " * length + "!", " " * (length // 4) + "!")


def test_the_patterns_tried_are_all_that_stand_in_the_source() -> None:
    mentions = {
        relative(path)
        for path in source_files(*PRODUCT)
        if re.search(rf"\bre\.({'|'.join(FUNCTIONS)})\(|from re import", path.read_text())
    }
    assert mentions == {where.split(":")[0] for where in patterns() if not where.startswith("address")}


@pytest.mark.parametrize("mask", [mask_text, scrub, lambda text: mask_value("event", text)])
@pytest.mark.parametrize("piece", PIECES)
def test_masking_takes_a_megabyte_of_anything_in_50_ms(mask: Callable[[str], Any], piece: str) -> None:
    # Input is cut before it is masked, so the length that arrives does not matter.
    text = (piece * 1024 * 1024)[: 1024 * 1024]
    assert seconds(lambda: mask(text)) <= MOST_SECONDS
