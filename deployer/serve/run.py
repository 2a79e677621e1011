"""The process: reads the configuration, listens at once (503 until the model is there), loads, serves, drains, ends.

Exit codes: 0 after a signal, 1 when the model cannot be loaded or the engine broke, 2 when the configuration is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import threading
import time
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from deployer.serve.config import Config, load_config
from deployer.serve.errors import ConfigError
from deployer.serve.journal import Journal, say, silent_about_the_vanished
from deployer.serve.kinds import GENERATOR, check_kind
from deployer.serve.model import load_generator, load_model, warm_up
from deployer.serve.server import build_app
from deployer.serve.service import Service
from deployer.serve.single import SingleService, build_single_app


def main(argv: list[str]) -> int:
    """Does not return once it has served: threads of the engine would abort the interpreter's own end."""
    parser = argparse.ArgumentParser(prog="serve", description="An OpenAI-compatible server over CTranslate2", allow_abbrev=False)
    parser.add_argument("--config", required=True, metavar="FILE", help="the configuration, JSON")
    try:
        config = load_config(parser.parse_args(argv).config)
    except ConfigError as error:
        say(f"error: {error}")
        return 2
    try:
        listener = _listen(config)
    except OSError as error:
        say(f"error: cannot listen on {config.host} port {config.port}: {error.strerror or error}")
        return 1
    # Read when the engine is loaded. Its threads would spin while they wait for each other, and where anything else wants a
    # processor, if only our own event loop, each step would then wait for the scheduler: measured 5 tokens a second, not 90.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    silent_about_the_vanished()
    process = _Process(config, listener.getsockname()[1])
    asyncio.run(process.serve(listener))
    os._exit(process.code)


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: else asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(2048)  # who comes before the event loop runs waits for it, and is not refused
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """Signals go to the process object, which drains first."""

    process: _Process

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.process.on_signal()


def _opened(config: Config, journal: Journal) -> tuple[Service | SingleService, Starlette]:
    """The service of the model's kind, not loaded yet, and its application."""
    if config.kind == GENERATOR:
        generating = Service(config)
        return generating, build_app(generating, journal)
    single = SingleService(config)
    return single, build_single_app(single, journal)


class _Process:
    def __init__(self, config: Config, port: int) -> None:
        self.config = config
        self.port = port  # the real one, where the configuration says 0
        self.code = 0
        self.service, app = _opened(config, Journal(config.log_requests))
        settings = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        self._server = _Server(settings)
        self._server.process = self
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signals = 0

    async def serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._load, name="load", daemon=True).start()
        await self._server.serve(sockets=[listener])

    def on_signal(self) -> None:
        """First signal: no new requests, the running ones may end. Second signal: out."""
        self._signals += 1
        if self._signals > 1 or self.service.state == "loading" or self._loop is None:
            say("stopping now")
            os._exit(self.code)
        self.service.state = "draining"
        self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._drain()))

    async def _drain(self) -> None:
        say(f"draining: {self.service.busy} requests, at most {self.config.shutdown_timeout_s:g} s")
        until = time.monotonic() + self.config.shutdown_timeout_s
        quiet = 0  # a request may have been on its way when the signal came: it is answered, not cut
        while (self.service.busy or quiet < 5) and time.monotonic() < until:
            quiet = 0 if self.service.busy else quiet + 1
            await asyncio.sleep(0.02)
        if self.service.busy:
            say(f"cutting {self.service.busy} requests: the time to drain is over")
            self.service.abort("The server is shutting down.")
            await asyncio.sleep(0.2)  # the streams' last words
        say("stopped")
        self._server.should_exit = True

    def _load(self) -> None:
        began = time.monotonic()
        config = self.config
        say(f"loading model {config.model_dir} on {config.device}, compute type {config.compute_type}")
        try:
            actual, context = self._loaded()
        except ConfigError as error:
            self._fail(f"error: {error}", 2)
        except Exception as error:  # noqa: BLE001  whatever the engine raises: the process must end and say why
            self._fail(f"error: the model cannot be loaded: {type(error).__name__}: {error}", 1)
        else:
            where = f"http://{config.host}:{self.port}"
            say(f"ready after {time.monotonic() - began:.1f} s: {actual}, context {context}, listening on {where}")

    def _loaded(self) -> tuple[str, int]:
        """(what it computes in, the most tokens); the service may be asked from now on."""
        if isinstance(self.service, SingleService):
            single = self.service.load(self._broken)
            return single.compute_type, single.context
        check_kind(self.config.model_dir, self.config.kind)
        model = load_model(self.config)
        generator = load_generator(self.config)
        warm_up(generator, model)
        self.service.start(model, generator, self._broken)
        return self.service.compute_type, model.context

    def _broken(self, error: BaseException) -> None:
        time.sleep(0.5)  # the rows of the last batch are being told
        self._fail(f"error: the engine keeps failing: {type(error).__name__}: {error}", 1)

    def _fail(self, message: str, code: int) -> None:
        """Ends the process; systemd starts it again."""
        say(message)
        os._exit(code)
