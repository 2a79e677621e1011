"""Work that blocks, in threads of our own: Textual's own executor has few threads and holds up the exit until they end.
The answer comes back as a message, so that it is used in the UI's thread.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from textual.message import Message

from deployer.errors import DeployerError

if TYPE_CHECKING:
    from textual.app import App

T = TypeVar("T")


class Answer(Message):
    """`use` is called in the UI's thread."""

    def __init__(self, use: Callable[[], None]) -> None:
        super().__init__()
        self.use = use


def run(
    app: "App[int]",
    work: Callable[[], T],
    then: Callable[[T], None],
    failed: Callable[[DeployerError], None],
    *,
    name: str = "job",
) -> threading.Thread:
    """`then` or `failed` gets the outcome, in the UI's thread; nothing when the UI has gone meanwhile."""

    def working() -> None:
        try:
            found = work()
        except DeployerError as error:
            said = error
            app.post_message(Answer(lambda: failed(said)))
        except Exception as error:  # noqa: BLE001  (a person must hear of it, whatever it is)
            from deployer.app.faults import unexpected

            fault = unexpected(error)
            app.post_message(Answer(lambda: failed(fault)))
        else:
            app.post_message(Answer(lambda: then(found)))

    thread = threading.Thread(target=working, name=f"ui-{name}", daemon=True)
    thread.start()
    return thread
