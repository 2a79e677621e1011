"""`deployer ui --web`: the read-only view in a browser of this machine. textual-serve has no authentication of its own, so
it listens on loopback alone, and answers only who comes with the key of the address that was printed.
"""

import secrets
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web
from textual_serve.server import Server

from deployer.errors import UsageError

LOOPBACK = "127.0.0.1"
_COOKIE = "deployer-ui"


class Guarded(Server):
    """Every request needs the key: in the address once, in a cookie from then on."""

    def __init__(self, command: str, port: int) -> None:
        super().__init__(command, host=LOOPBACK, port=port, title="deployer")
        self.key = secrets.token_urlsafe(24)

    @property
    def address(self) -> str:
        return f"{self.public_url}/?key={self.key}"

    def initialize_logging(self) -> None:
        """Nothing is logged: addresses hold the key."""

    async def on_startup(self, app: web.Application) -> None:
        """No banner: the address was said."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard())
        return app

    def _guard(self) -> Any:
        @web.middleware
        async def guard(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
            # a name that leads here by way of somebody's DNS, or a page from elsewhere that opens a socket, is not us
            origin = request.headers.get("Origin")
            if request.host != f"{LOOPBACK}:{self.port}" or origin not in (None, self.public_url):
                raise web.HTTPForbidden(text="only the address that deployer printed leads here")
            if secrets.compare_digest(request.query.get("key", ""), self.key):
                answer = web.HTTPFound("/")
                answer.set_cookie(f"{_COOKIE}-{self.port}", self.key, httponly=True, samesite="Strict")
                return answer
            if not secrets.compare_digest(request.cookies.get(f"{_COOKIE}-{self.port}", ""), self.key):
                raise web.HTTPForbidden(text="the address that deployer printed has a key; this one has none")
            response: web.StreamResponse = await handler(request)
            return response

        return guard


def serve(words: Sequence[str], port: int | None, say: Callable[[str], None]) -> int:
    """Until Ctrl-C. `words`: the command line of the view that each browser gets, a process of its own."""
    number = _free(port)
    start = "import sys; from deployer.cli.main import main; sys.exit(main(sys.argv[1:]))"
    server = Guarded(shlex.join([sys.executable, "-c", start, *words]), number)
    say(f"read-only, for a browser on this machine: {server.address}")
    say("Ctrl-C ends it")
    server.serve()
    return 0


def _free(port: int | None) -> int:
    with socket.socket() as trying:
        try:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind((LOOPBACK, port or 0))
        except OSError as error:
            raise UsageError(f"port {port} cannot be used: {error.strerror}", hint="leave --port out, or name another") from None
        return int(trying.getsockname()[1])
