"""What Whisper sees of a sound: the logarithm of its energy in 80 or 128 bands, a hundred times a second, 30 s at a time.

The same numbers as transformers' WhisperFeatureExtractor (bands as librosa's "slaney" makes them).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from deployer.serve.wav import RATE

WINDOW_S = 30
FRAMES = 100 * WINDOW_S
_FFT, _HOP = 400, 160


def log_mel(samples: Any, bands: int) -> Any:
    """(bands, 3000) of float32 for at most 30 s; what is shorter is filled up with silence."""
    whole = np.zeros(RATE * WINDOW_S, np.float32)
    whole[: len(samples)] = samples[: len(whole)]
    padded = np.pad(whole, _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP][:FRAMES]
    window = np.hanning(_FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    logs = np.log10(np.maximum(_filters(bands) @ power.T, 1e-10))
    return ((np.maximum(logs, logs.max() - 8) + 4) / 4).astype(np.float32)


@lru_cache(maxsize=2)
def _filters(bands: int) -> Any:
    frequencies = np.linspace(0, RATE / 2, _FFT // 2 + 1)
    edges = _hertz(np.linspace(0, _mel(RATE / 2), bands + 2))
    slopes = edges[:, None] - frequencies
    widths = np.diff(edges)
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (edges[2:] - edges[:-2]))[:, None]


_STEP, _LOG_FROM, _LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27  # linear below 1 kHz, logarithmic above


def _mel(hertz: float) -> float:
    return float(_LOG_FROM / _STEP + np.log(hertz / _LOG_FROM) / _LOG_STEP)


def _hertz(mels: Any) -> Any:
    bend = _LOG_FROM / _STEP
    return np.where(mels < bend, mels * _STEP, _LOG_FROM * np.exp(_LOG_STEP * (mels - bend)))
