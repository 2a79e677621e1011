"""The handler as a real process on loopback, with an engine as its child, and a client that waits for it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.ports import free_port

STUB = Path(__file__).with_name("stub_engine.py")
ENGINE_HOST = "127.0.0.2"


class Handler:
    """A running process. `lines` is what it and its engine wrote."""

    def __init__(self, folder: Path, argv=None, **config) -> None:
        self.port = free_port()
        argv = argv or [sys.executable, str(STUB), ENGINE_HOST, str(self.port)]
        upstream = {"argv": argv, "host": ENGINE_HOST, "port": self.port, "ready_path": "/health", "stop_signal": "SIGINT"}
        base = {"deployment": "chat", "port": self.port, "scripts": str(folder), "model": "/models/m", "revision": "7"}
        if "predictor" not in config:
            base["upstream"] = upstream
        file = folder / f"handler-{self.port}.json"
        file.write_text(json.dumps({**base, **config}))
        self.lines: list[str] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deployer.handler", "--config", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ENGINES_OWN": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def wait_line(self, text: str) -> str:
        with self._news:
            if not self._news.wait_for(lambda: any(text in line for line in self.lines), 20):
                raise AssertionError(f"no line with {text!r}: {self.lines}")
            return next(line for line in self.lines if text in line)

    def wait_ready(self) -> "Handler":
        self.wait_line("handler: ready")
        if not any("predictor" in line for line in self.lines):
            self.wait_line("stub: up")
        return self

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            kind = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
            connection.request(method, path, data, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def chat(self, text, **more):
        body = {"model": "chat", "messages": [{"role": "user", "content": text}], **more}
        status, headers, answer = self.ask("POST", "/v1/chat/completions", body)
        return status, (json.loads(answer) if "json" in headers["Content-Type"] else answer)

    def open_stream(self, text):
        """A streamed chat whose first chunk is there: (connection, answer)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        body = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": text}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def end(self, number=signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(20)
        self._reader.join(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def events(text: bytes):
    """The JSON of each event of a stream; the last one must be [DONE]."""
    parts = [part[len(b"data: ") :] for part in text.split(b"\n\n") if part]
    assert parts[-1] == b"[DONE]"
    return [json.loads(part) for part in parts[:-1]]


def content(found) -> str:
    return "".join(choice["delta"].get("content", "") for event in found for choice in event["choices"])
