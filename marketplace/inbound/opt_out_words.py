"""The words by which a client opts out of messages and in again. Pure functions.

Only a message that is such a word and nothing else counts: "stop by at five" is no opt-out. So a salon's own
sentence that explains the words is none either, when a client's phone or bot sends it back.
"""

import re
import unicodedata
from enum import Enum

LONGEST = 100  # characters; whatever is longer says more than one word
STOP_WORDS = frozenset({
    "стоп", "stop", "stop all", "stopall", "стоп реклама", "стоп рассылка", "стоп спам", "stop ads",
    "отписаться", "отпишите", "отпишите меня", "отпишись", "отписка", "отписаться от рассылки",
    "отпишите от рассылки", "отпишите меня от рассылки", "отказ от рассылки", "отказаться от рассылки",
    "unsubscribe", "unsubscribe me", "opt out", "optout",
})  # fmt: skip
START_WORDS = frozenset({
    "старт", "start", "unstop", "подписаться", "подпишите", "подпишите меня", "подписаться на рассылку",
    "subscribe", "subscribe me", "resubscribe", "opt in", "optin",
})  # fmt: skip
POLITE_WORDS = frozenset({"пожалуйста", "спасибо", "please", "thanks", "thank you"})
# Latin letters that look like Cyrillic ones and slip in between them.
LOOKALIKES = str.maketrans("aceopxtkmhb", "асеорхткмнв")


class Word(Enum):
    """What a message asks for."""

    STOP = "stop"
    START = "start"


def read(text: str) -> Word | None:
    """Return what the text asks for; None for everything that is not exactly one of the words.

    Case, punctuation, quotes, emoji, "ё" and a polite word after it make no difference.
    """
    if len(text) > LONGEST:
        return None
    plain = _plain(text)
    for candidate in (plain, plain.translate(LOOKALIKES)):
        if candidate in STOP_WORDS:
            return Word.STOP
        if candidate in START_WORDS:
            return Word.START
    return None


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    words = re.sub(r"[\W\d_]+", " ", letters).strip()
    for polite in POLITE_WORDS:
        words = words.removeprefix(f"{polite} ").removesuffix(f" {polite}")
    return words
