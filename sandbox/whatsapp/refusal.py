"""The one error of the control side."""


class Refused(Exception):
    """A phone or the server cannot do what was asked: a sentence for a person and an HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
