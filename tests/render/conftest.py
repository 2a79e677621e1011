"""A real HAProxy on loopback before stub engines, for the gateway's tests."""

import contextlib
import csv
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from deployer.agent import paths, peers
from deployer.agent.parts import assemble
from deployer.agent.system import System
from deployer.agent.wire import Fleet
from deployer.render import names
from deployer.render.gateway import (
    HAPROXY,
    GatewayConfig,
    Route,
    Server,
    base_config,
    deployment_config,
    fragments,
    host_fragments,
)
from deployer.render.programs import RELOAD
from tests.ports import free_port


class Engine(BaseHTTPRequestHandler):
    """Answers with what it was asked. A body {"chunks": n} streams; {"hold": true} waits for `release`."""

    protocol_version = "HTTP/1.1"
    release = threading.Event()

    def do_GET(self) -> None:
        self.answer({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "chunks" in body:
            self.stream(body["chunks"])
            return
        if body.get("hold"):
            self.release.wait(20)
        self.answer({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body})

    def answer(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, chunks: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(chunks):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(f"data: {number}\n\n"), f"data: {number}\n\n".encode()))
            self.wfile.flush()
            if number == 0:
                self.release.wait(20)  # the first chunk must get through while the second does not exist yet
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """HAProxy's checks hang up once they have the status."""


@contextlib.contextmanager
def listening(port: int = 0, name: str = "s0", handler: type[BaseHTTPRequestHandler] = Engine) -> Iterator[Server]:
    """A stub engine for as long as the block lasts, as the gateway knows it; port 0: any that is free."""
    server = QuietServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Server(name, "127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def engine() -> Iterator[Server]:
    Engine.release = threading.Event()
    with listening() as found:
        yield found
        Engine.release.set()


@dataclass
class Gateway:
    folder: Path
    port: int
    peer_port: int = 0
    process: subprocess.Popen[str] | None = None
    lines: list[str] = field(default_factory=list)

    def write(self, *routes: Route) -> None:
        found = host_fragments().items()
        texts = {(place, kind): text for kind, pair in found for place, text in zip(("_first", "_last"), pair, strict=True)}
        for old in self.folder.glob("10-*.cfg"):
            old.unlink()
        for route in routes:
            (self.folder / f"10-{route.deployment}.cfg").write_text(deployment_config(route))
            texts |= {(route.deployment, kind): text for kind, text in fragments(route).items()}
        shutil.rmtree(self.folder / "parts", ignore_errors=True)
        (self.folder / "parts").mkdir()
        for (name, kind), text in texts.items():
            (self.folder / "parts" / PurePosixPath(names.fragment_path("acme", name, kind)).name).write_text(text)
        assemble(System("/"), str(self.folder))

    def base(self, config: GatewayConfig, change: Callable[[str], str] = str) -> None:
        """The base file. The unit's RuntimeDirectory is not there, and the user is only known where Debian's package is and
        we are root.
        """
        text = change(base_config(config).replace(config.runtime, str(self.folder.parent)))
        text = text.replace(names.models_path(config.fleet), str(self.folder / "all.names"))
        if os.geteuid() != 0:
            text = text.replace("    user haproxy\n    group haproxy\n", "")
        (self.folder / "00-base.cfg").write_text(text)

    def checked(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run([HAPROXY, "-c", "-f", str(self.folder)], capture_output=True, text=True, check=False)

    def check(self, warning: str = "") -> None:
        """HAProxy takes the configuration without a word, but for the one warning that the test is about."""
        done = self.checked()
        assert done.returncode == 0, done.stderr
        warned = [line for line in done.stderr.splitlines() if "[WARNING]" in line and (not warning or warning not in line)]
        assert not warned, done.stderr

    def start(self, *routes: Route, warning: str = "") -> None:
        self.write(*routes)
        self.run(warning)

    def run(self, warning: str = "", ready: Callable[[], bool] | None = None) -> None:
        self.check(warning)
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [HAPROXY, "-W", "-f", str(self.folder), "-S", str(self.master)],
            stdout=write,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(write)
        threading.Thread(target=self._read, args=(read,), daemon=True).start()
        self.until(ready or (lambda: self.get("/").status == 404))

    def _read(self, descriptor: int) -> None:
        with open(descriptor) as file:
            self.lines += iter(file.readline, "")

    def until(self, condition: Callable[[], bool]) -> None:
        """Connections that break count as no."""
        pause = threading.Event()
        for _ in range(200):
            try:
                if condition():
                    return
            except OSError:
                pass
            pause.wait(0.05)
        raise AssertionError("\n".join(self.lines) or "it did not happen within ten seconds")

    @property
    def master(self) -> Path:
        return self.folder.parent / "master.sock"

    def stat(self, backend: str, server: str, column: str) -> int:
        return int(self.statistic(backend, server, column) or 0)

    def is_up(self, backend: str, server: str) -> bool:
        return self.statistic(backend, server, "status").startswith("UP")

    def statistic(self, backend: str, server: str, column: str) -> str:
        """One of HAProxy's own statistics."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.folder.parent / "admin.sock"))
            client.sendall(b"show stat\n")
            lines = b"".join(iter(lambda: client.recv(65536), b"")).decode().lstrip("# ").splitlines()
        rows = csv.DictReader(lines)
        return next(row[column] for row in rows if (row["pxname"], row["svname"]) == (backend, server))

    def with_peers(self, name: str = "gpu-02") -> Server:
        """Also a front for other gateways, as host `name`; what is returned is it as they see it."""
        system, fleet = System(str(self.folder.parent)), Fleet(id="7f3a9c21", name="acme")
        own = peers.make(system, fleet, name)
        others = self.folder / "peers.pem"
        others.write_text(peers.merged({}, {name: own}, [name]))
        certificate = system.path(paths.peer(fleet))
        self.peer_port = free_port()

        client, peer = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.peer_port}"
        self.base(GatewayConfig("acme", "7f3a9c21", (client,), peers=peer), self.placed)
        return Server(name, "127.0.0.1", self.peer_port, None, certificate, str(others))

    def placed(self, text: str) -> str:
        """With the certificates for other gateways where they lie in this test."""
        own = f"{self.folder.parent}{names.peer_path('acme')}"
        return text.replace(names.peers_path("acme"), str(self.folder / "peers.pem")).replace(names.peer_path("acme"), own)

    def peer_get(self, path: str, front: Server, *, certificate: str | None = None, trusted: str | None = None) -> int:
        """The status that another gateway gets, with the certificate of this one or another."""
        context = ssl.create_default_context(cafile=trusted or front.peers)
        context.check_hostname = False
        if certificate != "":
            context.load_cert_chain(certificate or str(front.certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", self.peer_port, timeout=20, context=context)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    def reload(self) -> subprocess.CompletedProcess[str]:
        """As the unit's ExecReload does it."""
        command = [sys.executable, "-I", "-c", RELOAD, str(self.master)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def request(self, method: str, path: str, body: Any = None, port: int = 0, **headers: str) -> "Answer":
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=20)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {k.replace("_", "-"): v for k, v in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()

    def status_from(self, source: str, path: str, port: int) -> int:
        """What a client at another address gets, at a port that takes the PROXY protocol."""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(f"PROXY TCP4 {source} 10.0.0.1 5 80\r\nGET {path} HTTP/1.0\r\n\r\n".encode())
            return int(client.makefile("rb").readline().split()[1])

    def get(self, path: str, port: int = 0, **headers: str) -> "Answer":
        return self.request("GET", path, None, port, **headers)

    def requests(self) -> list[dict[str, Any]]:
        """The log's lines about requests, read as JSON."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def logged(self, path: str) -> dict[str, Any]:
        """The last line about `path`, as soon as there is one."""
        self.until(lambda: any(line["path"] == path for line in self.requests()))
        return [line for line in self.requests() if line["path"] == path][-1]


@dataclass(frozen=True)
class Answer:
    status: int
    data: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def code(self) -> Any:
        return self.json["error"]["code"]


def made(folder: Path) -> Iterator[Gateway]:
    assert shutil.which(HAPROXY), "HAProxy is what these tests are about: apt-get install haproxy"
    folder.mkdir(parents=True)
    port = free_port()
    found = Gateway(folder, port)
    found.base(GatewayConfig("acme", "7f3a9c21", (f"127.0.0.1:{port}",)))
    yield found
    if found.process:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(found.process.pid, signal.SIGKILL)
        found.process.wait()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    yield from made(tmp_path / "gateway")


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Gateway]:
    """Another gateway beside `gateway`."""
    yield from made(tmp_path / "second" / "gateway")
