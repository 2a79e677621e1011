"""A password asked for by a thread of the transport, typed into a panel. Given to the fleet when the application starts."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from deployer.tui import jobs
from deployer.tui.modals.asking import Asking

if TYPE_CHECKING:
    from deployer.tui.app import DeployerApp

#: How often a waiting thread looks whether there is still somebody who could answer. Seconds.
LOOK_S = 0.2


def ask(app: "DeployerApp", prompt: str) -> str:
    """Blocks until it is typed. Empty after Esc, and when the application ends meanwhile."""
    answered, value = threading.Event(), [""]

    def take(text: str | None) -> None:
        value[0] = text or ""
        answered.set()

    app.post_message(jobs.Answer(lambda: _push(app, prompt, take)))
    while not answered.wait(LOOK_S):
        if not app.is_running:
            return ""
    return value[0]


def _push(app: "DeployerApp", prompt: str, take: Callable[[str | None], None]) -> None:
    app.push_screen(Asking(prompt.strip().rstrip(":"), hidden=True), take)
