"""Tokens with times into segments, and segments into the forms that OpenAI's audio routes answer in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

STEP_S = 0.02  # between two times that the model can write


@dataclass(frozen=True)
class Segment:
    """What was said from `begin` to `end`, in seconds of the whole sound."""

    begin: float
    end: float
    text: str
    tokens: tuple[int, ...]
    score: float
    no_speech: float
    seek: float


def cut(ids: Sequence[int], first_time: int, length_s: float) -> tuple[list[tuple[float, float, list[int]]], float]:
    """((begin, end, ids) of each segment, where to go on), in seconds of the window of `length_s`.

    A pair of times ends one segment and begins the next. What comes after the last pair is heard again with more of the sound
    behind it; a window that ends with one time, or none, is done.
    """
    found: list[tuple[float, float, list[int]]] = []
    begin, part = 0.0, []
    for place, number in enumerate(ids):
        if number < first_time:
            part.append(number)
            continue
        at = min((number - first_time) * STEP_S, length_s)
        if part:
            found.append((begin, max(at, begin), part))
            part = []
            begin = at
            if place == len(ids) - 1:
                return found, length_s  # a single time: silence follows
        else:
            begin = at
    if found and len(ids) > 1 and ids[-1] >= first_time and not part:
        return found, begin if begin > 0 else length_s
    if part and found:
        return found, found[-1][1] if found[-1][1] > 0 else length_s
    if part:
        found.append((begin, length_s, part))
    return found, length_s


def srt(segments: Sequence[Segment]) -> str:
    return "".join(
        f"{number}\n{_clock(one.begin, ',')} --> {_clock(one.end, ',')}\n{_cue(one)}\n\n"
        for number, one in enumerate(segments, 1)
    )


def vtt(segments: Sequence[Segment]) -> str:
    cues = (f"{_clock(one.begin, '.')} --> {_clock(one.end, '.')}\n{_cue(one)}\n\n" for one in segments)
    return "WEBVTT\n\n" + "".join(cues)


FORMS: dict[str, tuple[str, Callable[[Sequence[Segment]], str]]] = {
    "srt": ("application/x-subrip", srt),
    "vtt": ("text/vtt", vtt),
}


def _cue(one: Segment) -> str:
    """An arrow or an empty line inside would end the cue."""
    return " ".join(one.text.replace("-->", "->").split())


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"
