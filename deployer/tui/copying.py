"""Copying, as the application does it: a terminal never says whether it took what it was sent, so what was copied is shown,
and one can take it by hand.
"""

from typing import TYPE_CHECKING

from deployer.tui import clipboard

if TYPE_CHECKING:
    from deployer.tui.app import DeployerApp

#: Of what was copied, this much is shown. Characters and lines.
SHOWN, SHOWN_LINES = 300, 4


def copy(app: "DeployerApp", text: str, what: str) -> None:
    try:
        sequence = clipboard.copy(text, app.preferences.clipboard)
    except ValueError as error:
        app.notify(str(error), title=f"not copied: {what}", severity="warning", markup=False)
        return
    if sequence is not None and app._driver is not None:
        app._driver.write(sequence)
    app.notify(shown(text), title=f"copied: {what}", markup=False)


def shown(text: str) -> str:
    """As much of it as a short note holds."""
    lines = text.strip().splitlines()
    first = "\n".join(lines[:SHOWN_LINES])
    more = len(lines) - SHOWN_LINES
    return f"{first[:SHOWN]}{' …' if len(first) > SHOWN else ''}" + (f"\n(and {more} more lines)" if more > 0 else "")
