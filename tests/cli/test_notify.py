"""`notify:`: who is told of the end of an apply, with what, and what happens when that fails. Real commands, a real HTTP server,
fake hosts with the real agent.
"""

import http.server
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deployer.app import notify
from deployer.app.fleet import Fleet
from deployer.execute.events import Event
from deployer.execute.follow import Control
from tests.cli.fakehosts import Bench, bench, tree

__all__ = ["bench"]

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/notification.schema.json").read_text())
POISON = "poison-0815-do-not-show"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is sent; answers `status`, or waits for `hold`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.status = 204
        self.location: str | None = None
        self.hold = threading.Event()
        self.hold.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook/{POISON}-path"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), json.loads(content)))
        self.server.hold.wait(30)
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.got.append((self.path, dict(self.headers), None))
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.hold.set()
        server.shutdown()


def fleet_tells(bench: Bench, text: str) -> None:
    path = bench.root / "deployer.yaml"
    path.write_text(path.read_text().partition("notify:")[0] + f"notify:\n{text}")


def command(bench: Bench, line: str = "cat > said-$$.json") -> str:
    """The YAML of a command of the fleet that runs this line of shell."""
    script = bench.root / "tell.sh"
    script.write_text(f"#!/bin/sh\n{line}\n")
    script.chmod(0o755)
    return "command: [./tell.sh, word]"


def said(bench: Bench) -> list[Any]:
    found = [json.loads(path.read_text()) for path in sorted(bench.root.glob("said-*.json"))]
    for path in bench.root.glob("said-*.json"):
        path.unlink()
    return found


def test_a_command_gets_the_body_on_its_standard_input(bench: Bench) -> None:
    fleet_tells(bench, f"  - {command(bench)}\n")
    assert bench("apply", "--yes", "-m", "first").code == 0
    [body] = said(bench)
    jsonschema.validate(body, SCHEMA)
    assert (body["event"], body["exit_code"], body["why"], body["deployment"]) == ("success", 0, "first", None)
    assert body["deployments"] == [{"name": "chat", "event": "success", "revision": 1}]
    assert [host["result"] for host in body["hosts"] if host["name"] == "h1"] == ["done"]
    assert body["text"].startswith("acme: chat by ")
    assert bench("apply", "--yes").code == 0  # there was nothing to do
    assert said(bench) == []


def test_a_webhook_gets_it_with_a_header_whose_value_is_seen_nowhere(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", f"Bearer {POISON}")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be asked for an address of this machine
    fleet_tells(bench, f"  - webhook: {receiver.url}\n    headers: {{Authorization: {{env: HOOK_TOKEN}}}}\n")
    done = bench("apply", "--yes", "--json")
    assert done.code == 0
    [(path, headers, body)] = receiver.got
    jsonschema.validate(body, SCHEMA)
    assert path == f"/hook/{POISON}-path"
    assert headers["Authorization"] == f"Bearer {POISON}"
    assert headers["Content-Type"] == "application/json"
    assert POISON not in done.out + done.err + json.dumps(body)
    for folder in (bench.root / ".deployer", *(host.root for host in bench.hosts.values())):
        assert [name for name, content in tree(folder).items() if POISON.encode() in content] == []


def test_an_address_that_is_a_secret_is_named_by_its_reference(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", receiver.url)
    receiver.status = 500
    fleet_tells(bench, "  - webhook_from: {env: HOOK}\n")
    done = bench("apply", "--yes")
    assert done.code == 0
    assert len(receiver.got) == 1
    assert "notify: the webhook of env:HOOK was not told: it answered 500" in done.out
    assert POISON not in done.out + done.err


def test_each_event_is_told_to_whom_it_concerns(bench: Bench) -> None:
    told = command(bench)
    fleet_tells(bench, f"  - {told}\n    events: [failure]\n")
    bench.edit("tags: [prod]\n", f"tags: [prod]\nnotify: [{{{told}, events: [rollback]}}]\n")
    assert bench("apply", "--yes").code == 0
    assert said(bench) == []
    bench.edit("ctranslate2: {}", "ctranslate2: {max_model_len: 256}")
    for host in bench.hosts.values():
        host.break_engine("chat-0", "it broke")
    assert bench("apply", "--yes").code == 5
    [body] = said(bench)
    jsonschema.validate(body, SCHEMA)
    assert (body["deployment"], body["event"], body["exit_code"]) == ("chat", "rollback", 5)
    assert body["failures"][0]["undone"] is True
    assert "log" not in body["failures"][0]
    for host in bench.hosts.values():
        host.mend_engines()
        host.faults.fail("unit.start", times=1)
        host.faults.fail("file.write", when="undo")
    assert bench("apply", "--yes").code == 1
    [body] = said(bench)
    assert (body["deployment"], body["event"], body["exit_code"]) == (None, "failure", 1)


WRONG = {
    "that is not there": ("command: [./nobody]", "the command ./nobody was not told: it cannot be run: No such file"),
    "that fails": ("command: [sh, -c, 'exit 3']", "the command sh was not told: it ended with exit code 3"),
    "that reads nothing": ("command: [sh, -c, 'exec <&-; exit 4']", "the command sh was not told: it ended with exit code 4"),
    "to a port where nobody listens": ("webhook: http://127.0.0.1:9/x", "the webhook at 127.0.0.1 was not told: "),
    "with a secret in the open": (
        "{webhook: http://192.0.2.1/x, headers: {A: {env: HOME}}}",
        "the webhook at 192.0.2.1 was not told: a secret header is sent over https only",
    ),
    "with a secret that is not here": (
        "{webhook: http://127.0.0.1:9/x, headers: {A: {env: NOT_THERE_4711}}}",
        "the webhook at 127.0.0.1 was not told: the secret env:NOT_THERE_4711 is not at hand",
    ),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_a_notification_that_goes_wrong_is_said_and_changes_nothing(bench: Bench, case: str) -> None:
    text, message = WRONG[case]
    fleet_tells(bench, f"  - {text}\n")
    done = bench("apply", "--yes")
    assert done.code == 0, done.err
    assert f"notify: {message}" in done.out


def test_a_secret_that_no_header_can_carry_is_not_shown(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", f"{POISON}\nX-Other: 1")
    fleet_tells(bench, f"  - webhook: {receiver.url}\n    headers: {{Authorization: {{env: HOOK_TOKEN}}}}\n")
    done = bench("apply", "--yes")
    assert done.code == 0
    assert "a header's secret holds what no header can carry" in done.out
    assert POISON not in done.out + done.err
    assert receiver.got == []


def test_a_redirect_is_not_followed(bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", POISON)
    receiver.status, receiver.location = 302, receiver.url.replace("/hook", "/elsewhere")
    fleet_tells(bench, f"  - webhook: {receiver.url}\n    headers: {{Authorization: {{env: HOOK_TOKEN}}}}\n")
    assert "it answered 302" in bench("apply", "--yes").out
    assert len(receiver.got) == 1


def test_nobody_is_waited_for_longer_than_a_few_seconds(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "DEADLINE_S", 1.0)
    receiver.hold.clear()
    fleet_tells(bench, f"  - webhook: {receiver.url}\n  - command: [sleep, '600']\n  - {command(bench)}\n")
    with Fleet.load(bench.root) as fleet:
        planned = fleet.plan()
        began = time.monotonic()
        report = planned.apply()
        took = time.monotonic() - began - report.seconds
    assert report.exit_code == 0
    assert took < 4.0
    assert sorted(note.partition(" was not told: ")[2] for note in report.notes) == [
        "it did not end within 1 s",
        "no answer after 1 s",
    ]
    assert len(said(bench)) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(bench: Bench, receiver: Receiver, tmp_path: Path) -> None:
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names, *files], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    fleet_tells(bench, f"  - webhook: {receiver.url.replace('http:', 'https:')}\n")
    done = bench("apply", "--yes")
    assert done.code == 0
    assert "certificate verify failed" in done.out
    assert receiver.got == []


def test_an_apply_that_is_stopped_is_told_and_so_is_one_that_somebody_attached_to(bench: Bench) -> None:
    fleet_tells(bench, f"  - {command(bench)}\n")
    with Fleet.load(bench.root) as fleet:
        control = Control()

        def stop(event: Event) -> None:
            if event.label == "start chat/0" and not control.presses:
                control.interrupt()

        report = fleet.plan().apply(control=control, on_event=stop)
    assert report.exit_code == 130
    [body] = said(bench)
    assert (body["event"], body["exit_code"]) == ("failure", 130)
    bench.hosts["h1"].settle()
    hold = bench.hosts["h1"].faults.hold("unit.start")
    with Fleet.load(bench.root) as fleet:
        left = Control()
        planned = fleet.plan()

        def leave() -> None:
            assert hold.reached.wait(30)
            left.interrupt()
            left.interrupt()

        threading.Thread(target=leave).start()
        planned.apply(control=left)
        [body] = said(bench)
        assert (body["event"], body["attached_by"]) == ("failure", None)
        [one] = fleet.running()
        threading.Timer(0.2, hold.release).start()
        assert fleet.attach(one).exit_code == 0
        [body] = said(bench)
        jsonschema.validate(body, SCHEMA)
        assert (body["event"], body["attached_by"], body["who"]) == ("success", fleet.who, fleet.who)
        assert body["run"] == one.run


def test_what_cannot_be_meant_is_said_with_its_place(bench: Bench) -> None:
    for text, message in (
        ("  - events: [success]\n", "needs exactly one of command, webhook, webhook_from"),
        ("  - command: [x]\n    headers: {A: {env: B}}\n", "has headers, which only a webhook can take"),
        ("  - webhook: https://a:b@example.org/x\n", "without a password"),
        ("  - command: [x]\n    events: [never]\n", "success, failure or rollback"),
        ("  - webhook: https://example.org\n    headers: {'A B': {env: B}}\n", "headers"),
    ):
        fleet_tells(bench, text)
        done = bench("plan")
        assert done.code == 3, text
        assert message in done.err, (text, done.err)
        assert "deployer.yaml:" in done.err
    assert os.listdir(bench.root / "deployments") == ["chat.yaml"]
