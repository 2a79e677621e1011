"""The process: listens at once (503 until all is there), starts the engine, loads the scripts, serves, drains, ends.

Exit status: the engine's own when that ends, 1 when a script cannot be loaded, 2 when the configuration is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from deployer.handler.child import Child
from deployer.handler.config import Config, ConfigError, load_config
from deployer.handler.counters import Counters
from deployer.handler.engine import Engine
from deployer.handler.front import Front
from deployer.handler.journal import say
from deployer.handler.predict import Predictor
from deployer.handler.record import Writer
from deployer.handler.redact import Redactor, RuleError
from deployer.handler.requestlog import LogConfig, RequestLog
from deployer.handler.scripts import Script, ScriptError
from deployer.handler.sinks import sink_of
from deployer.handler.transform import Transformer

#: Longer than a gateway keeps an idle connection to us (60 s): it must be the one that closes.
KEEP_ALIVE_S = 75.0


def main(argv: list[str]) -> int:
    """Does not return once it has served: a script's threads must not hold up the end."""
    parser = argparse.ArgumentParser(
        prog="handler", description="Scripts and the request log before an engine", allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the configuration, JSON")
    try:
        config = load_config(parser.parse_args(argv).config)
    except (ConfigError, TypeError, KeyError) as error:
        say(f"error: {error}")
        return 2
    try:
        listener = _listen(config)
    except OSError as error:
        say(f"error: cannot listen on {config.host} port {config.port}: {error.strerror or error}")
        return 1
    code = asyncio.run(_Process(config, listener).run())
    os._exit(code)


def _listen(config: Config) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: else asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((config.host, config.port))
    return listener


class _Process:
    def __init__(self, config: Config, listener: socket.socket) -> None:
        self.config, self._listener = config, listener
        self.counters = Counters()
        self.front = Front(config, self.counters)
        self._pool = ThreadPoolExecutor(config.threads, "script")
        self._child = Child(config.upstream) if config.upstream else None
        self._stop = asyncio.Event()
        self._signals = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        if self.config.log is not None:
            try:
                self.front.log = _log(self.config, self.config.log, self.counters)
            except (OSError, ImportError, RuleError) as error:
                say(f"error: the request log cannot be opened: {error}")
                return 1
        runner = web.ServerRunner(self._server(), shutdown_timeout=1.0)
        await runner.setup()
        site = web.SockSite(runner, self._listener)
        await site.start()
        try:
            ended = await self._start()
        except (ScriptError, OSError) as error:
            say(f"error: {error}")
            if self._child is not None:
                self._child.kill()
            return 1
        stop = asyncio.ensure_future(self._stop.wait())
        await _first(stop, ended)
        if ended is not None and ended.done():
            say(f"the engine ended with exit status {ended.result()}")
            await self._close_log()
            return ended.result()
        await self._drain(site)
        return await self._end()

    def _server(self) -> web.Server:
        def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            loop = asyncio.get_running_loop()
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=self.config.max_body_bytes)

        return web.Server(
            self.front.handle,
            request_factory=request,
            handler_cancellation=True,
            keepalive_timeout=KEEP_ALIVE_S,
            auto_decompress=False,
            access_log=None,
        )

    async def _start(self) -> asyncio.Future[int] | None:
        """Engine and scripts beside each other. Gives what ends when the engine does."""
        ended = None
        if self._child is not None and self.config.upstream is not None:
            await self._child.start(dict(os.environ))
            ended = asyncio.ensure_future(self._child.ended())
            self.front.engine = Engine(self.config.upstream)
        os.environ.update(self.config.variables())
        loading = asyncio.ensure_future(self._load())
        stop = asyncio.ensure_future(self._stop.wait())
        await _first(loading, stop, ended)
        if loading.done():
            loading.result()
            self.front.state = "ready"
            say(f"ready: {self._what()} on port {self._listener.getsockname()[1]}")
        stop.cancel()
        return ended

    def _what(self) -> str:
        parts = [f"predictor {self.config.predictor}"] if self.config.predictor else []
        parts += [f"transformer {self.config.transformer}"] if self.config.transformer else []
        return " and ".join(parts) or "in front of the engine"

    async def _load(self) -> None:
        config = self.config
        if config.predictor is not None:
            self.front.predictor = Predictor(await self._script("predictor", config.predictor, "predict"), config)
        if config.transformer is not None:
            self.front.transformer = Transformer(await self._script("transformer", config.transformer, None))

    async def _script(self, role: str, name: str, wanted: str | None) -> Script:
        say(f"loading the {role} {name}")
        script = Script(role, self.config.scripts, name, self._pool, self.counters)
        await script.load()
        if wanted is not None and not script.has(wanted):
            raise ScriptError(f"{role}: {name}: the class has no {wanted}()")
        return script

    def _on_signal(self) -> None:
        """First signal: no new requests, the running ones may end. Second signal: out."""
        self._signals += 1
        self._stop.set()
        if self._signals > 1:
            say("stopping now")
            if self._child is not None:
                self._child.kill()
            os._exit(0)

    async def _drain(self, site: web.SockSite) -> None:
        self.front.state = "draining"
        await site.stop()
        say(f"draining: {self.counters.running} requests, at most {self.config.drain_timeout_s:g} s")
        loop = asyncio.get_running_loop()
        until = loop.time() + self.config.drain_timeout_s
        while self.counters.running and loop.time() < until:
            await asyncio.sleep(0.02)
        if self.counters.running:
            say(f"cutting {self.counters.running} requests: the time to drain is over")

    async def _close_log(self) -> None:
        if self.front.log is not None:
            await asyncio.get_running_loop().run_in_executor(None, self.front.log.close)

    async def _end(self) -> int:
        code = 0
        await self._close_log()
        if self._child is not None:
            code = await self._child.stop()
            say(f"the engine ended with exit status {code}")
        say("stopped")
        return code


def _log(config: Config, wanted: LogConfig, counters: Counters) -> RequestLog:
    """Raises RuleError for a wrong rule, OSError or ImportError where the sink cannot be had."""
    sys.setswitchinterval(0.0005)  # the log's thread must not hold up an answer for the usual 5 ms
    about = {"deployment": config.deployment, "revision": config.revision, "replica": config.replica}
    writer = Writer(about, Redactor(wanted.redact), {*config.model_names, *config.paths})
    return RequestLog(wanted, writer, sink_of(wanted, counters), counters)


async def _first(*waiting: asyncio.Future[Any] | None) -> None:
    await asyncio.wait([one for one in waiting if one is not None], return_when=asyncio.FIRST_COMPLETED)
