#!/usr/bin/env python3
"""Stands in for `ollama serve`: the parts of its API that the engine uses, as docs/api.md of Ollama says. It keeps what was asked
of it in requests.jsonl beside its store. OLLAMA_STANDIN: "refuse-create", "half-on-gpu", "die".
"""

import hashlib
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STORE = Path(os.environ["OLLAMA_MODELS"])
MODE = os.environ.get("OLLAMA_STANDIN", "")
MODELS = STORE / "models.json"


def models() -> dict:
    return json.loads(MODELS.read_text()) if MODELS.exists() else {}


def full(name: str) -> str:
    return name if ":" in name else name + ":latest"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> bytes:
        found = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = {"method": self.command, "path": self.path, "body": found.decode() if found[:1] == b"{" else len(found)}
        with (STORE / "requests.jsonl").open("a") as file:
            file.write(json.dumps(asked) + "\n")
        return found

    def say(self, status: int, answer: object = None) -> None:
        text = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def do_HEAD(self) -> None:
        self.body()
        self.say(200 if (STORE / "blobs" / self.path.rpartition("/")[2]).exists() else 404)

    def do_GET(self) -> None:
        self.body()
        if self.path == "/api/version":
            self.say(200, {"version": "0.0.0"})
        elif self.path == "/api/tags":
            self.say(200, {"models": [{"name": name} for name in models()]})
        elif self.path == "/api/ps":
            self.say(200, {"models": [{"name": "x", "size": 4 << 30, "size_vram": (2 if MODE == "half-on-gpu" else 4) << 30}]})
        elif self.path.startswith("/v1/models/"):
            self.say(200 if full(self.path[11:]) in models() else 404, {})

    def do_POST(self) -> None:
        body = self.body()
        if self.path.startswith("/api/blobs/"):
            name = self.path.rpartition("/")[2]
            if name != "sha256:" + hashlib.sha256(body).hexdigest():
                self.say(400, {"error": "digest mismatch"})
                return
            (STORE / "blobs").mkdir(exist_ok=True)
            (STORE / "blobs" / name).write_bytes(body)
            self.say(201)
            return
        asked = json.loads(body)
        if self.path == "/api/create":
            missing = [one for one in asked["files"].values() if not (STORE / "blobs" / one).exists()]
            if MODE == "refuse-create" or missing:
                self.say(400, {"error": "invalid file magic"})
                return
            MODELS.write_text(json.dumps({**models(), full(asked["model"]): asked}))
        elif self.path == "/api/copy":
            MODELS.write_text(json.dumps({**models(), full(asked["destination"]): models()[full(asked["source"])]}))
        text = {"index": 0, "text": "the stand-in answers", "finish_reason": "stop"}
        completion = {"id": "1", "object": "text_completion", "created": 0, "model": asked.get("model"), "choices": [text]}
        answers = {"/api/create": {"status": "success"}, "/api/generate": {"done": True}, "/v1/completions": completion}
        self.say(200, answers.get(self.path))

    def do_DELETE(self) -> None:
        asked = json.loads(self.body())
        MODELS.write_text(json.dumps({name: one for name, one in models().items() if name != full(asked["model"])}))
        self.say(200)


if __name__ == "__main__":
    assert sys.argv[1:] == ["serve"]
    if MODE == "die":
        sys.exit("Error: listen tcp: bind: address already in use")
    host, _, port = os.environ["OLLAMA_HOST"].partition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
