"""Token ids into text, one at a time and in linear time, and stop texts found across the borders of tokens.

What a streamed answer adds up to and what an answer in one piece holds come out of the same two classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

PATIENCE = 8  # tokens without a complete character; no character has more bytes than 4


class Detokenizer:
    """Text of a growing list of ids. `decode` is the tokenizer's; only the last few ids are ever decoded again."""

    def __init__(self, decode: Callable[[list[int]], str], special: frozenset[int]) -> None:
        self._decode = decode
        self._special = special
        self._ids: list[int] = []  # a window: [context that is already out][ids whose text is not]
        self._out = 0  # so many ids of the window are out
        self._seen = 0  # so many characters they make

    def push(self, token: int) -> str:
        """The text that has become certain with this token; '' while a character is incomplete. Special tokens have none."""
        if token in self._special:
            return ""
        self._ids.append(token)
        text = self._decode(self._ids)
        unfinished = text.endswith("\ufffd") or len(text) <= self._seen
        if unfinished and len(self._ids) - self._out < PATIENCE:
            return ""
        new = text[self._seen :]
        self._ids = self._ids[self._out :]
        self._out = len(self._ids)
        self._seen = len(self._decode(self._ids))
        return new


class StopFilter:
    """Lets text through until a stop text appears; what may be the beginning of one waits."""

    def __init__(self, stops: Sequence[str], include: bool = False) -> None:
        self._stops = tuple(stops)
        self._include = include
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """(text to send, a stop text was found). After a find nothing more may be pushed."""
        if not self._stops or not text:
            return text, False
        text = self._held + text
        found = [(at, -len(stop)) for stop, at in ((s, text.find(s)) for s in self._stops) if at >= 0]
        if found:
            at, length = min(found)
            self._held = ""
            return text[: at - length if self._include else at], True
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def rest(self) -> str:
        """What was waiting, when the answer ends without a stop text."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` with which `stop` begins."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
