"""A command that says what a test tells it to. For tests of what stands above the bytes."""

from collections.abc import Callable, Iterable

from deployer.transport.verb import News


class Scripted:
    """Implements transport.verb.Exec: gives `news` one after the other; `on_write(data)` may add more or raise OSError."""

    def __init__(
        self,
        news: Iterable[tuple[bytes, bytes]] = (),
        *,
        status: int | None = 0,
        lost: bool = False,
        on_write: Callable[["Scripted", bytes], None] | None = None,
    ) -> None:
        self.news = list(news)
        self.written = b""
        self.closed = False
        self._status = status
        self._lost = lost
        self._on_write = on_write

    def poll(self, timeout_s: float) -> News:
        if not self.news:
            return News(b"", b"", ended=True)
        return News(*self.news.pop(0), ended=False)

    def write(self, data: bytes) -> None:
        if self._on_write:
            self._on_write(self, data)
        self.written += data

    def end_input(self) -> None: ...

    def status(self) -> int | None:
        return self._status

    def lost(self) -> bool:
        return self._lost

    def close(self) -> None:
        self.closed = True
