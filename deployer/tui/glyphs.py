"""Signs that carry meaning, once in Unicode and once in ASCII. A sign never stands alone: a word or a colour repeats it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Glyphs:
    """`bars`: eight heights for sparklines and meters, from nearly nothing to full; 0 is nothing. `shades`: parts of a bar."""

    verbs: dict[str, str] = field(
        default_factory=lambda: {
            "create": "+",
            "update": "~",
            "replace": "±",
            "delete": "-",
            "undo": "↺",
            "adopt": "=",
            "move": ">",
        }
    )
    states: dict[str, str] = field(
        default_factory=lambda: {
            "deployed": "●", "degraded": "◐", "starting": "◐", "downloading": "◐", "optimizing": "◐",
            "pending": "○", "stopped": "○", "failed": "✗", "unknown": "?",
            "waiting": "◌", "running": "▶", "done": "✓", "undone": "↺", "skipped": "–",
        }
    )  # fmt: skip
    bars: str = " ▁▂▃▄▅▆▇█"
    full: str = "█"
    rest: str = "░"
    shades: str = "█▓▒"
    opened: str = "▼"
    closed: str = "▶"
    arrow: str = "→"
    dot: str = "·"
    dash: str = "–"
    crumb: str = "›"
    down: str = "↓"
    again: str = "↻"
    fold: str = "…"
    bad: str = "✗"
    good: str = "✓"
    warn: str = "▲"
    degree: str = "°"


UNICODE = Glyphs()
ASCII = Glyphs(
    verbs={"create": "+", "update": "~", "replace": "+-", "delete": "-", "undo": "<", "adopt": "=", "move": ">"},
    states={
        "deployed": "*", "degraded": "%", "starting": "%", "downloading": "%", "optimizing": "%",
        "pending": "o", "stopped": "o", "failed": "x", "unknown": "?",
        "waiting": ".", "running": ">", "done": "v", "undone": "<", "skipped": "-",
    },
    bars=" .:-=+*%#",
    full="#",
    rest=".",
    shades="#=+",
    opened="v",
    closed=">",
    arrow="->",
    dot="|",
    dash="-",
    crumb=">",
    down="v",
    again="@",
    fold="...",
    bad="x",
    good="v",
    warn="!",
    degree="C",
)  # fmt: skip

#: State of a deployment, replica or step → the role its word is drawn in.
STATE_ROLES = {
    "deployed": "good", "done": "good", "degraded": "warn", "starting": "accent", "downloading": "accent",
    "optimizing": "accent", "running": "accent", "pending": "dim", "stopped": "dim", "waiting": "dim", "skipped": "dim",
    "failed": "bad", "unknown": "warn", "undone": "warn",
}  # fmt: skip
