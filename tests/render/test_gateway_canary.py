"""The share of a canary, asked of a real HAProxy."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.agent import canary
from deployer.agent.steps.traffic import tables
from deployer.agent.system import System
from deployer.plan.rounds import CLEARLY_WORSE
from deployer.render.gateway import Route, Server
from tests.render.conftest import Gateway, listening

PATHS = ("/v1/models",)


@contextmanager
def engine(name: str, status: int = 200) -> Iterator[Server]:
    """Answers with its name; healthy whatever it answers."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else status)
            self.send_header("content-length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with listening(0, name, Answers) as found:
        yield found


def route(gateway: Gateway, tried: Server, *engines: Server, share: int = 20, **more: Any) -> Route:
    entries = str(gateway.folder / "all.entries")
    return Route("7f3a9c21", "chat", engines, PATHS, None, canary=tried, share=share, entries_path=entries, **more)


def who_answers(gateway: Gateway, times: int, header: Callable[[int], dict[str, str]] = lambda _: {}) -> Counter[str]:
    return Counter(gateway.get("/chat/v1/models", **header(n)).data.decode() for n in range(times))


def up(gateway: Gateway, *servers: Server) -> None:
    gateway.until(lambda: all(gateway.is_up("be_chat", server.name) for server in servers))


def counted(gateway: Gateway, tried: Server, *old: Server) -> tuple[canary.Counts, canary.Counts]:
    """As the agent counts, from nothing on."""
    tally = canary.Tally(tried.port, [server.port for server in old])
    text = System("/").ask_socket(str(gateway.folder.parent / "admin.sock"), "show stat").decode()
    tally.take({})
    tally.take({"worker": text})
    return tally.both


def test_it_gets_its_share_and_the_others_the_rest(gateway: Gateway) -> None:
    with engine("old-0") as one, engine("old-1") as two, engine("new") as new:
        gateway.start(route(gateway, new, one, two))
        up(gateway, one, two, new)
        found = who_answers(gateway, 1000)
        assert 130 <= found["new"] <= 270  # 200 are expected; five and a half deviations either way
        assert abs(found["old-0"] - found["old-1"]) <= 100
        mine, old = counted(gateway, new, one, two)
        assert (mine.requests, old.requests) == (found["new"], 1000 - found["new"])


def test_with_an_affinity_a_session_meets_the_same_one(gateway: Gateway) -> None:
    with engine("old") as old, engine("new") as new:
        gateway.start(route(gateway, new, old, share=50, affinity="session"))
        up(gateway, old, new)
        for number in range(5):
            assert len(who_answers(gateway, 5, lambda _, n=number: {"X_Session_Id": f"s{n}"})) == 1  # type: ignore[misc]
        assert len(who_answers(gateway, 40, lambda n: {"X_Session_Id": f"s{n}"})) == 2


def test_while_it_is_down_the_others_get_all(gateway: Gateway) -> None:
    with engine("old") as old, engine("new") as new:
        gateway.start(route(gateway, new, old, share=50))
        up(gateway, old, new)
        assert who_answers(gateway, 40)["new"] > 0
        gone = new
    with engine("old") as old:
        gateway.write(route(gateway, gone, old, share=50))
        assert gateway.reload().returncode == 0
        assert who_answers(gateway, 40) == {"old": 40}


@pytest.mark.parametrize("status", [500, 503])
def test_what_it_fails_is_counted_also_where_another_answered_in_the_end(gateway: Gateway, status: int) -> None:
    with engine("old") as old, engine("new", status) as new:
        gateway.start(route(gateway, new, old, share=50))
        up(gateway, old, new)
        statuses = Counter(gateway.get("/chat/v1/models").status for _ in range(100))
        assert statuses[200] == 100 if status == 503 else statuses[500] > 0
        verdict, why = canary.judge(*counted(gateway, new, old), CLEARLY_WORSE)
        assert verdict == canary.WORSE, why


def test_what_was_counted_before_and_after_a_reload_is_counted_together(gateway: Gateway) -> None:
    asking: Any = SimpleNamespace(system=System("/"))
    with engine("old") as old, engine("new") as new:
        gateway.start(route(gateway, new, old, share=50))
        up(gateway, old, new)
        who_answers(gateway, 30)
        tally = canary.Tally(new.port, [old.port])
        tally.take(tables(asking, str(gateway.master)))
        first = who_answers(gateway, 40)
        tally.take(tables(asking, str(gateway.master)))
        assert gateway.reload().returncode == 0
        up(gateway, old, new)
        second = who_answers(gateway, 40)
        tally.take(tables(asking, str(gateway.master)))
    mine, others = tally.both
    assert (mine.requests, others.requests) == (first["new"] + second["new"], first["old"] + second["old"])
    assert (mine.failed, others.failed) == (0, 0)
