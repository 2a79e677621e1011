"""A byte pipe in memory, as the two ends of an exec see it."""

import threading


class Pipe:
    """Written by one thread, read by another. Closed from either side: reads end, writes raise BrokenPipeError."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._change = threading.Condition()
        self._ended = False
        self._broken = False

    def write(self, data: bytes) -> int:
        with self._change:
            if self._ended or self._broken:
                raise BrokenPipeError("nobody reads this pipe any more")
            self._data += data
            self._change.notify_all()
            return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def end(self) -> None:
        """No more will be written; what is there can still be read."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    def cut(self) -> None:
        """As when the network goes away: what is there is lost too."""
        with self._change:
            self._broken = True
            self._data.clear()
            self._change.notify_all()

    @property
    def broken(self) -> bool:
        return self._broken

    def read(self, size: int = -1) -> bytes:
        """Like a file: waits for `size` bytes or the end."""
        with self._change:
            self._change.wait_for(lambda: self._ended or self._broken or (0 <= size <= len(self._data)))
            return self._take(len(self._data) if size < 0 else size)

    def read_some(self, most: int) -> bytes:
        """Waits for the first byte, or the end; not for more."""
        with self._change:
            self._change.wait_for(lambda: self._ended or self._broken or bool(self._data))
            return self._take(most)

    def readline(self, limit: int = -1) -> bytes:
        with self._change:
            self._change.wait_for(lambda: self._ended or self._broken or b"\n" in self._data)
            found = self._data.find(b"\n")
            return self._take(len(self._data) if found < 0 else found + 1)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken
