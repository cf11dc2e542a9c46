"""Which messages of clients are an opt-out, and which only look like one."""

import pytest

from marketplace.inbound.opt_out_words import Word, read


@pytest.mark.parametrize(
    "text",
    [
        "СТОП", "стоп", "Стоп.", "«СТОП»", '"stop"', "STOP!!!", " stop\n", "стоп 🙏", "Cтоп", "/stop",
        "Отписаться", "отпишите меня, пожалуйста", "Пожалуйста, отпишите меня", "Unsubscribe", "opt-out",
        "стоп, спасибо", "ＳＴＯＰ",
    ],
)  # fmt: skip
def test_these_opt_out(text: str) -> None:
    assert read(text) is Word.STOP


@pytest.mark.parametrize("text", ["СТАРТ", "старт!", "Start", "unstop", "Подписаться", "opt in"])
def test_these_opt_in_again(text: str) -> None:
    assert read(text) is Word.START


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "🙏", "да", "Стоп-кадр", "стопка", "не стоп", "stop by at five", "Старт во сколько?",
        "отмена", "cancel", "Чтобы отписаться, напишите СТОП", "спасибо", "стоп " * 40,
        "\x00", "100",
    ],
)  # fmt: skip
def test_these_say_something_else(text: str) -> None:
    assert read(text) is None
