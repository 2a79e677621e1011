"""Moments as text: ISO 8601, UTC, milliseconds."""

from __future__ import annotations

import time


def iso(seconds: float) -> str:
    """ "2026-11-20T23:51:37.042Z" from seconds since 1970."""
    milliseconds = int(round(seconds * 1000))
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000)) + ".%03dZ" % (milliseconds % 1000)
