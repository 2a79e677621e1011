"""What the application does when something goes wrong in it or to it: a fault of ours is a panel, a signal is a leave-taking.
The terminal is as it was afterwards, and nothing of it is ever a traceback.
"""

import asyncio
import os
import signal
import threading
import time
from collections import deque
from typing import Any

from textual.app import App
from textual.message import Message

from deployer.app.faults import unexpected
from deployer.errors import DeployerError
from deployer.tui import jobs
from deployer.tui.line import plain_text
from deployer.tui.modals.failure import failure

#: So many faults within so many seconds, and we leave: more would be a panel that fails again and again.
MOST_FAULTS, WITHIN_S = 5, 30.0

INTERRUPTED = 130


class Mishaps(App[int]):
    """`fault` is the last one. Once `settled` faults are shown and survived; before, there is nothing yet to go on with."""

    settled = False
    fault: DeployerError | None = None

    def __init__(self) -> None:
        super().__init__()
        self._faults: deque[float] = deque(maxlen=MOST_FAULTS)

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if not self.settled:
                raise
            self._handle_exception(error)

    def _handle_exception(self, error: Exception) -> None:
        """Called by Textual for whatever was not caught: in a handler, while drawing, at start."""
        try:
            self.fault = unexpected(error)
            now = time.monotonic()
            again = len(self._faults) == MOST_FAULTS and now - self._faults[0] < WITHIN_S
            self._faults.append(now)
            if again or not self.settled or not self._tell(self.fault):
                self._give_up()
        except Exception:  # noqa: BLE001  (not even the panel works)
            self._give_up()

    def _tell(self, fault: DeployerError) -> bool:
        """A panel; one is enough. False where none can be shown any more."""
        if not self.is_running or not self.screen_stack:
            return False
        if not self.screen.has_class("-fault"):
            panel = failure(fault)
            panel.add_class("-fault")
            self.push_screen(panel)
        return True

    def _give_up(self) -> None:
        self.settled = False
        self.exit(1)
        self._close_messages_no_wait()

    def notify(self, message: str, *, title: str = "", markup: bool = False, **more: Any) -> None:
        """What is told may quote a host or a file: no markup unless it is asked for, and nothing for the terminal to obey."""
        super().notify(plain_text(message), title=plain_text(title), markup=markup, **more)

    # from outside

    def mind_signals(self) -> None:
        """SIGTERM leaves as `q` does, without a question: the hosts go on. So does a closed window, which says SIGHUP. Faults
        of threads that nobody waits for come to us as well."""
        self._hook = threading.excepthook
        threading.excepthook = self._thread_failed
        if threading.current_thread() is threading.main_thread() and not self.is_headless:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, self.exit, INTERRUPTED)
            loop.add_signal_handler(signal.SIGHUP, self._window_gone)

    def forget_signals(self) -> None:
        threading.excepthook = self._hook

    def farewell(self) -> None:
        """What must be done before the process ends."""

    def _window_gone(self) -> None:
        """There is no terminal to put back, and Textual would wait for ever for what it still has to write."""
        try:
            self.farewell()
        finally:
            os._exit(INTERRUPTED)

    def _thread_failed(self, args: threading.ExceptHookArgs) -> None:
        error = args.exc_value
        if args.thread is not None and args.thread.name == "textual-output":
            self._window_gone()
        elif isinstance(error, Exception) and self.is_running:
            self.post_message(jobs.Answer(lambda: self._handle_exception(error)))
