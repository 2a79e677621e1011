"""Themes: those of Textual, and ours for eyes that tell colours apart otherwise. Chosen by --theme, ui.yaml or :theme."""

from textual.app import App
from textual.theme import Theme

from deployer.errors import UsageError

#: Short words for what most people look for.
SHORT = {"dark": "textual-dark", "light": "textual-light", "terminal": "ansi-dark", "terminal-light": "ansi-light"}

OURS = (
    # Blue for good, orange for bad: the two that nearly every eye tells apart (the palette of Okabe and Ito).
    Theme(
        name="colour-blind",
        primary="#56B4E9",
        secondary="#CC79A7",
        success="#56B4E9",
        warning="#F0E442",
        error="#E66A0C",
        accent="#CC79A7",
        foreground="#E6E6E6",
        background="#14161A",
        surface="#1C1F25",
        panel="#2A2E37",
        dark=True,
    ),
    Theme(
        name="colour-blind-light",
        primary="#005F9E",
        secondary="#8A3F6B",
        success="#005F9E",
        warning="#7A6A00",
        error="#B34700",
        accent="#8A3F6B",
        foreground="#1A1A1A",
        background="#FFFFFF",
        surface="#F3F3F3",
        panel="#E2E2E2",
        dark=False,
    ),
    Theme(
        name="high-contrast",
        primary="#00BFFF",
        secondary="#FFFFFF",
        success="#00FF5F",
        warning="#FFFF00",
        error="#FF5555",
        accent="#FF87FF",
        foreground="#FFFFFF",
        background="#000000",
        surface="#000000",
        panel="#303030",
        dark=True,
        text_alpha=1.0,
    ),
)


def register(app: App[int]) -> None:
    for theme in OURS:
        app.register_theme(theme)


def names(app: App[int]) -> list[str]:
    """What can be said, the short words first."""
    return [*SHORT, *(theme.name for theme in OURS), *sorted(set(app.available_themes) - {theme.name for theme in OURS})]


def full(app: App[int], name: str, where: str | None = None) -> str:
    """Textual's name of it. Raises UsageError for a theme that there is not."""
    wanted = SHORT.get(name, name).replace("color-blind", "colour-blind")
    if wanted not in app.available_themes:
        import difflib

        close = difflib.get_close_matches(name, names(app), 1)
        there = f"there is: {', '.join(names(app))}"
        raise UsageError(f"there is no theme {name}", where=where, hint=f"did you mean {close[0]}? {there}" if close else there)
    return wanted
