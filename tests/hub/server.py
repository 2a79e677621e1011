"""The HTTP side of the local hub. Answers and errors as huggingface_hub 2.4 expects them."""

import json
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.hub.options import HubOptions
from tests.hub.repository import HubFile, Revision, find, revisions

_MODEL = re.compile(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/.*)?|/(refs|auth-check))?")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_WRONG_TOKEN = "Invalid credentials in Authorization header"


@dataclass(frozen=True)
class Request:
    """One request as it came in, for assertions."""

    method: str
    path: str
    range: str | None
    authorized: bool


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {"X-Error-Code": code, "X-Error-Message": message, **headers}


@dataclass
class LocalHub:
    """Serves `root` from a thread of its own between start and stop, or as a context manager."""

    root: Path
    options: HubOptions = field(default_factory=HubOptions)
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cuts: dict[str, int] = {}
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer((self.host, self.port), partial(_Handler, self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def add(self, repo: str, files: dict[str, bytes | str], revision: str = "main") -> None:
        """Writes files of one revision; others of it stay."""
        for name, content in files.items():
            path = self.root / repo / revision / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, repo: str, revision: str = "main") -> str:
        return Revision(self.root / repo / revision).commit

    def serve_forever(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, hub: LocalHub, *args: Any) -> None:
        self.hub = hub
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:
        if self.hub.options.verbose:
            super().log_message(format, *args)

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_GET

    def _answer(self) -> None:
        options = self.hub.options
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(Request(self.command, self.path, self.headers.get("Range"), bool(self._token())))
        if options.silent:
            self.hub.closing.wait(120)
            self.close_connection = True
            return
        try:
            if options.status:
                raise _Refusal(options.status, "", HTTPStatus(options.status).phrase)
            if self._token() and self._token() not in (options.token, options.other_token):
                raise _Refusal(401, "", _WRONG_TOKEN)
            self._route(urllib.parse.urlsplit(self.path), body)
        except _Refusal as refusal:
            self._json({"error": refusal.message}, refusal.status, **refusal.headers)

    def _route(self, url: urllib.parse.SplitResult, body: bytes) -> None:
        if url.path == "/api/whoami-v2":
            if not self._token():
                raise _Refusal(401, "", _WRONG_TOKEN)
            self._json({"type": "user", "name": "tester", "auth": {"type": "access_token"}, "orgs": []})
        elif match := _MODEL.fullmatch(url.path):
            repo, kind, revision, extra = (urllib.parse.unquote(part or "") for part in match.groups())
            self._api(repo, kind or extra, revision or "main", url.query, body)
        elif match := _FILE.fullmatch(url.path):
            repo, wanted, name = (urllib.parse.unquote(part) for part in match.groups())
            self._download(repo, wanted, name)
        else:
            raise _Refusal(404, "", "not found")

    def _api(self, repo: str, kind: str, wanted: str, query: str, body: bytes) -> None:
        known = self._known(repo)
        if kind == "refs":
            refs = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": r.commit} for name, r in known.items()]
            self._json({"branches": refs, "tags": [], "converts": []})
        elif kind == "auth-check":
            self._check_gate(repo)
            self._json({})
        else:
            revision = self._revision(known, wanted)
            if kind in ("tree", "paths-info") and not self.hub.options.gated_lists:  # a gated repository's info is open
                self._check_gate(repo)
            self._json(self._describe(repo, kind, revision, query, body))

    def _describe(self, repo: str, kind: str, revision: Revision, query: str, body: bytes) -> Any:
        files = revision.files()
        if kind == "tree":
            folders = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in revision.folders()]
            return folders + [f.tree_entry() for f in files]
        if kind == "paths-info":
            paths = json.loads(body)["paths"] if body[:1] == b"{" else urllib.parse.parse_qs(body.decode()).get("paths", [])
            return [f.tree_entry() for f in files if f.name in paths]
        card = revision.card()
        return {
            "_id": "0",
            "id": repo,
            "modelId": repo,
            "sha": revision.commit,
            "private": repo in self.hub.options.private,
            "disabled": False,
            "gated": "manual" if repo in self.hub.options.gated else False,
            "tags": [f"license:{card['license']}"] if "license" in card else [],
            "cardData": card,
            "downloads": 0,
            "likes": 0,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "createdAt": "2026-01-01T00:00:00.000Z",
            "siblings": [f.sibling("blobs" in query) for f in files],
        }

    def _download(self, repo: str, wanted: str, name: str) -> None:
        revision = self._revision(self._known(repo), wanted)
        self._check_gate(repo)
        file = next((f for f in revision.files() if f.name == name), None)
        if file is None:
            raise _Refusal(404, "EntryNotFound", "Entry not found", **{"X-Repo-Commit": revision.commit})
        first, last, status = _byte_range(self.headers.get("Range"), file.size)
        if first >= file.size > 0:
            raise _Refusal(416, "", "Range not satisfiable", **{"Content-Range": f"bytes */{file.size}"})
        self.send_response(status)
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "X-Repo-Commit": revision.commit}
        headers |= {"ETag": f'"{file.etag}"', "Content-Length": str(last - first + 1)}
        if file.lfs:
            headers |= {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send(repo, file, first, last - first + 1)

    def _send(self, repo: str, file: HubFile, first: int, left: int) -> None:
        options, key = self.hub.options, f"{repo}:{file.name}"
        if options.cut and left > options.cut and self.hub.cuts.get(key, 0) < options.cut_times:
            self.hub.cuts[key] = self.hub.cuts.get(key, 0) + 1
            left, self.close_connection = options.cut, True
        with file.path.open("rb") as stream:
            stream.seek(first)
            while left > 0 and (chunk := stream.read(min(65536, left))):
                left -= len(chunk)
                self.wfile.write(bytes(byte ^ 1 for byte in chunk[:1]) + chunk[1:] if key in options.corrupt else chunk)
                if options.slow_bps:
                    time.sleep(len(chunk) / options.slow_bps)

    def _known(self, repo: str) -> dict[str, Revision]:
        known = revisions(self.hub.root, repo)
        if known is None or (repo in self.hub.options.private and self._token() != self.hub.options.token):
            raise _Refusal(404 if self._token() else 401, "RepoNotFound", "Repository not found")
        return known

    def _revision(self, known: dict[str, Revision], wanted: str) -> Revision:
        revision = find(known, wanted)
        if revision is None:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {wanted}")
        return revision

    def _check_gate(self, repo: str) -> None:
        if repo in self.hub.options.gated and self._token() != self.hub.options.token:
            raise _Refusal(403 if self._token() else 401, "GatedRepo", f"Access to model {repo} is restricted.")

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _json(self, content: Any, status: int = 200, **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _byte_range(header: str | None, size: int) -> tuple[int, int, int]:
    """First byte, last byte, status."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if match is None or not (match[1] or match[2]):
        return 0, size - 1, 200
    if not match[1]:
        return max(0, size - int(match[2])), size - 1, 206
    return int(match[1]), min(int(match[2]), size - 1) if match[2] else size - 1, 206
