"""WAV files into what Whisper hears: one channel of float32 at 16 kHz. Other containers are refused by their name."""

from __future__ import annotations

import struct
from math import gcd
from typing import Any

import numpy as np

from deployer.serve.errors import ApiError

RATE = 16_000
TAPS = 16  # zero crossings of the resampling filter on each side
_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE

#: First bytes of what people send, and its name.
_CONTAINERS = (
    (0, b"ID3", "MP3"), (0, b"\xff\xfb", "MP3"), (0, b"\xff\xf3", "MP3"), (0, b"\xff\xf2", "MP3"), (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"), (4, b"ftyp", "MP4 or M4A"), (0, b"\x1aE\xdf\xa3", "WebM or Matroska"), (0, b"FORM", "AIFF"),
    (0, b"\xff\xf1", "AAC"), (0, b"\xff\xf9", "AAC"), (0, b"#!AMR", "AMR"), (0, b"caff", "CAF"),
)  # fmt: skip
_HOW = "this server reads WAV only: ffmpeg -i IN -ar 16000 -ac 1 OUT.wav"


def decode(data: bytes) -> Any:
    """Samples between -1 and 1 at 16 kHz. Raises ApiError 400 for what is no WAV file, or one of a kind that is not read."""
    if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        name = next((name for at, magic, name in _CONTAINERS if data[at : at + len(magic)] == magic), None)
        raise _bad(f"it is {name}; {_HOW}" if name else f"it is no audio file that is known; {_HOW}")
    form, samples = _chunks(data)
    if form is None or len(form) < 16:
        raise _bad("the WAV file has no format chunk")
    if samples is None:
        raise _bad("the WAV file has no samples")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if kind == _EXTENSIBLE and len(form) >= 26:
        kind = struct.unpack_from("<H", form, 24)[0]
    if not 1 <= channels <= 32 or not 1000 <= rate <= 768_000:
        raise _bad(f"the WAV file says {channels} channels at {rate} Hz")
    flat = _samples(kind, bits, samples)
    flat = flat[: len(flat) // channels * channels].reshape(-1, channels)
    mono = flat.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise _bad("the WAV file holds samples that are no numbers")
    return resample(mono, rate)


def _chunks(data: bytes) -> tuple[bytes | None, bytes | None]:
    """(format, samples). A size that is unknown or too large means up to the end: recorders write such while they run."""
    form, at = None, 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = body
        elif name == b"data":
            return form, body
        at += 8 + size + size % 2
    return form, None


def _samples(kind: int, bits: int, raw: bytes) -> Any:
    if kind == _PCM and bits == 8:
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / 128
    if kind == _PCM and bits in (16, 32):
        whole = np.frombuffer(raw[: len(raw) // (bits // 8) * (bits // 8)], f"<i{bits // 8}")
        return whole.astype(np.float32) / 2 ** (bits - 1)
    if kind == _PCM and bits == 24:
        bytes_ = np.frombuffer(raw[: len(raw) // 3 * 3], np.uint8).reshape(-1, 3)
        wide = np.zeros((len(bytes_), 4), np.uint8)
        wide[:, 1:] = bytes_
        return wide.view("<i4")[:, 0].astype(np.float32) / 2**31
    if kind == _FLOAT and bits in (32, 64):
        return np.frombuffer(raw[: len(raw) // (bits // 8) * (bits // 8)], f"<f{bits // 8}").astype(np.float32)
    name = {_ALAW: "A-law", _MULAW: "mu-law"}.get(kind, f"format {kind}")
    raise _bad(f"WAV with {name} of {bits} bits is not read: PCM of 8, 16, 24 or 32 bits and floats are")


def resample(samples: Any, rate: int) -> Any:
    """To 16 kHz by a windowed sinc, which keeps what is below half of the lower rate."""
    if rate == RATE or not len(samples):
        return samples
    factor = gcd(rate, RATE)
    up, down = RATE // factor, rate // factor
    cut = min(1.0, up / down)
    reach = int(np.ceil(TAPS / cut))
    length = len(samples) * up // down
    found = np.empty(max(length, 1), np.float32)
    padded = np.pad(samples, reach + 1)
    offsets = np.arange(-reach, reach + 1)
    for begin in range(0, len(found), 1 << 15):  # in pieces: the table of taps must stay small
        places = np.arange(begin, min(begin + (1 << 15), len(found))) * down / up
        whole = np.floor(places).astype(np.int64)
        distance = (places - whole)[:, None] - offsets
        window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / reach, -1, 1))
        taps = (cut * np.sinc(cut * distance) * window).astype(np.float32)
        found[begin : begin + len(places)] = (padded[whole[:, None] + offsets + reach + 1] * taps).sum(axis=1)
    return found


def _bad(why: str) -> ApiError:
    return ApiError(400, f"file: {why}", param="file", code="audio_not_readable")
