"""A program that stands in for an engine: argv is host and port. Run as a child of the handler, never imported by tests.
Standard library only, so that it starts at once.
"""

import hashlib
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

seen = {"cancelled": 0}
go = threading.Event()


class Engine(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def say(self, data, status=200, kind="application/json"):
        text = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.path == "/metrics":
            self.say(b"engine_figure 1\n", kind="text/plain")
        else:
            self.say({**seen, "environment": dict(os.environ)})

    def do_POST(self):
        body, path = self.body(), urlsplit(self.path)
        query = parse_qs(path.query)
        if path.path == "/echo":
            told = {
                "path": self.path,
                "sha256": hashlib.sha256(body).hexdigest(),
                "size": len(body),
                "headers": dict(self.headers),
            }
            self.say(told, int(query.get("status", ["200"])[0]))
        elif path.path == "/release":
            go.set()
            self.say(b"")
        elif path.path == "/die":
            os._exit(int(query["code"][0]))
        else:
            self.chat(json.loads(body))

    def chat(self, body):
        words = body["messages"][-1]["content"].split(" ")
        head = {"id": "c1", "created": 1, "model": "stub"}
        usage = {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)}
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": " ".join(words)}, "finish_reason": "stop"}
            self.say({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        head["object"] = "chat.completion.chunk"
        try:
            for number, word in enumerate(words):
                if word == "WAIT":
                    self.wait()
                text = word if not number else " " + word
                self.event({**head, "choices": [{"index": 0, "delta": {"content": text}}]})
            self.event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
            self.chunk(b"data: [DONE]\n\n")
            self.chunk(b"")
        except OSError:
            seen["cancelled"] += 1
            self.close_connection = True

    def wait(self):
        """Until it is released; an engine notices a client that has gone, so that counts too."""
        self.connection.settimeout(0.01)
        while not go.is_set():
            try:
                if self.connection.recv(1) == b"":
                    raise ConnectionError
            except TimeoutError:
                continue
        go.clear()
        self.connection.settimeout(None)

    def event(self, data):
        self.chunk(b"data: " + json.dumps(data).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Engine)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print("stub: up", flush=True)
stop = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stop.set())
stop.wait()
print("stub: got SIGINT", flush=True)
