"""The engine as our child: started with the environment that the unit gave, ended by the signal that it wants."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from deployer.handler.config import Upstream
from deployer.handler.journal import say


class Child:
    """It stays in our cgroup and writes to our standard output, so that systemd and the journal see one unit."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._process: asyncio.subprocess.Process | None = None
        self._asked: int | None = None

    async def start(self, environment: dict[str, str]) -> None:
        """Raises OSError when there is no such program."""
        self._process = await asyncio.create_subprocess_exec(
            *self._upstream.argv, env=environment, stdin=asyncio.subprocess.DEVNULL
        )

    async def ended(self) -> int:
        """Waits for its end. Its exit status; 128 and the signal when one killed it that we did not send."""
        assert self._process is not None
        code = await self._process.wait()
        if code >= 0:
            return code
        return 0 if -code == self._asked else 128 - code

    async def stop(self) -> int:
        """Asks it to end, and after its time makes it end. Gives its exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._send(getattr(signal, self._upstream.stop_signal))
            try:
                return await asyncio.wait_for(self.ended(), self._upstream.stop_timeout_s)
            except asyncio.TimeoutError:  # noqa: UP041  the builtin only since Python 3.11
                say(
                    f"the engine has not ended within {self._upstream.stop_timeout_s:g} s of {self._upstream.stop_signal}: killed"
                )
                self._send(signal.SIGKILL)
        return await self.ended()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._asked = number
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
