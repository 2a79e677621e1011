"""A model that is read from the host that has it: what becomes of connections that break."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from deployer.errors import Unreachable
from deployer.execute.copying import Gift
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.execute.push import Push

FLEET = {"id": "0123abcd", "name": "acme"}
WANTS = {"host": "h1", "path": "/m", "name": "m", "digest": "d"}
DATA = b"0123456789"
FILES = [{"path": "model.bin", "size": len(DATA), "digest": "sha256:d"}]


class Given:
    """A channel that gives two bytes at a time."""

    def __init__(self, connection: "Way", offset: int) -> None:
        self._connection = connection
        self._offset = offset

    def lines(self) -> Iterator[dict[str, Any]]:
        if self._connection.broken:  # closed under us, by whoever met the break first: that is a quiet end
            return
        yield {"type": "gives", "files": FILES}
        yield {"type": "giving", "size": len(DATA) - self._offset}

    def read_bytes(self, most: int) -> bytes:
        if self._connection.broken:
            raise Unreachable("the connection was lost", where="h1")
        data = DATA[self._offset : self._offset + min(2, most)]
        self._offset += len(data)
        return data

    def close(self) -> None: ...


class Way:
    def __init__(self) -> None:
        self.broken = False
        self.offsets: list[int] = []

    def open(self, verb: str, request: Mapping[str, Any]) -> Given:
        self.offsets.append(request.get("offset", 0))
        return Given(self, request.get("offset", 0))


class Ways:
    """A pool of one host."""

    def __init__(self) -> None:
        self.current = Way()
        self.dropped: list[Way] = []

    def connection(self, name: str) -> Way:
        return self.current

    def drop(self, name: str, connection: Way | None = None) -> None:
        assert connection is not None
        self.dropped.append(connection)
        self.current = Way()


def broken_after_two(ways: Ways) -> BinaryIO:
    """Two bytes came on the current connection, which is broken now."""
    stream = Gift(cast("Pool", ways), FLEET, WANTS, Patience(wait=lambda _: None)).open({"origin": "model.bin"})
    assert stream.read(2) == b"01"
    ways.current.broken = True
    return stream


def test_a_connection_that_somebody_made_anew_is_not_dropped_for_the_old_one() -> None:
    ways = Ways()
    stream = broken_after_two(ways)
    ways.current = second = Way()  # the run of that host, which met the break before us
    got = b"01"
    while len(got) < len(DATA):
        got += stream.read(4)
    assert got == DATA
    assert second.offsets == [2]
    assert ways.dropped == []
    assert ways.current is second


def test_a_connection_that_breaks_under_it_is_dropped_and_made_anew_from_there_on() -> None:
    ways = Ways()
    first = ways.current
    assert broken_after_two(ways).read(2) == b"23"
    assert ways.dropped == [first]
    assert ways.current.offsets == [2]


def test_a_giver_whose_connection_somebody_else_closed_is_asked_again_what_it_has() -> None:
    ways = Ways()
    ways.current.broken = True
    gift = Gift(cast("Pool", ways), FLEET, WANTS, Patience(wait=lambda _: None))
    assert gift.files() == FILES
    assert len(ways.dropped) == 1


class Told:
    """A channel of a host that is told something without bytes; `heard`: it says that it has taken it."""

    def __init__(self, heard: bool) -> None:
        self._heard = heard

    def lines(self) -> Iterator[dict[str, Any]]:
        if self._heard:
            yield {"type": "end"}

    def close(self) -> None: ...


class Telling(Ways):
    """The first connection is closed by somebody else while the word is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[Mapping[str, Any]] = []

    def open(self, verb: str, request: Mapping[str, Any]) -> Told:
        self.words.append(request["copy"])
        return Told(heard=len(self.words) > 1)

    def connection(self, name: str) -> Any:
        return self


def test_a_word_without_bytes_that_was_lost_with_its_connection_is_told_again() -> None:
    """Else a run would wait for a copy that will not come."""
    ways, word = Telling(), {"digest": "d", "error": "it failed there"}
    about = {"run": "r1", "copy": word}
    pool, source = cast("Pool", ways), cast("Any", None)
    Push(pool, "h2", FLEET, [], source, lambda data: None, Patience(wait=lambda _: None), about).run()
    assert ways.words == [word, word]
