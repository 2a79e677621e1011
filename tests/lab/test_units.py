"""Rendered units under a real systemd: what arrives in the process, what it cannot reach, how it starts, dies and waits."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployer.render import names
from deployer.render.gateway import GatewayConfig, Route, Server, base_config, deployment_config, gateway_unit
from deployer.render.unit import UnitSpec, render_unit, unit_files
from tests.lab.conftest import LabFleet

pytestmark = pytest.mark.lab

HOST = "lab-2"
ETC = "/etc/deployer/units"

#: Stands for an engine: argv[1] is its port. /health is 200 once the file FLAG is there, and tells what it sees; POST ends it.
ENGINE = """\
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = not os.environ.get("FLAG") or os.path.exists(os.environ["FLAG"])
        writable = {path: os.access(path, os.W_OK) for path in ("/etc", "/usr", "/var/lib", os.environ["CACHE"])}
        said = open(os.environ["CREDENTIALS_DIRECTORY"] + "/said.txt").read()
        seen = {"argv": sys.argv[2:], "env": dict(os.environ), "uid": os.getuid(), "dev": os.listdir("/dev"),
                "writable": writable, "said": said}
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(json.dumps(seen).encode())
    def do_POST(self):
        os._exit(0)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

ODD = ("", "a b", "%h", "%%", "$HOME", "${HOME}", ";", "\\", '"', "'", "a\nb", "\t", "ü", "\x07", "-x", "#", "\\x41", "😀")


def spec(name: str, port: int, **changes: Any) -> UnitSpec:
    plain = UnitSpec(
        fleet="units",
        fleet_id="0ddba115",
        deployment=name,
        slot=0,
        runtime_digest="ab" * 32,
        argv=("/usr/bin/python3", "-c", ENGINE, str(port)),
        port=port,
        ready_path="/health",
        start_timeout_s=60.0,
        stop_timeout_s=10.0,
        stop_signal="SIGINT",
        env={"CACHE": f"/var/cache/deployer/units/{name}/0"},
    )
    return plain._replace(**changes)


class Units:
    """Writes units to the host as the agent would, and takes them away at the end."""

    def __init__(self, fleet: LabFleet) -> None:
        self.fleet = fleet
        self.names: list[str] = []

    def run(self, *argv: str, check: bool = True) -> str:
        return self.fleet.run(HOST, argv, check=check).stdout.strip()

    def write(self, path: str, content: str, mode: str = "0600") -> None:
        self.fleet.run(HOST, ["install", "-D", "-m", mode, "/dev/stdin", path], stdin=content)

    def add(self, unit: UnitSpec, said: str = "hello") -> str:
        unit = unit._replace(credentials=(("said.txt", f"{unit.directory}/said.txt"),))
        for path, content in ((f"{unit.directory}/said.txt", said), *unit_files(unit)):
            self.write(path, content)
        return self.text(unit.name, render_unit(unit))

    def text(self, name: str, text: str) -> str:
        self.write(names.unit_path(name), text, "0644")
        self.run("systemctl", "daemon-reload")
        self.names.append(name)
        return name

    def show(self, unit: str, *properties: str) -> tuple[str, ...]:
        found = dict(line.partition("=")[::2] for line in self.run("systemctl", "show", unit).splitlines())
        return tuple(found.get(name, "") for name in properties)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.2)

    def seen(self, port: int) -> dict[str, Any]:
        read = json.loads(self.run("curl", "-s", f"http://127.0.0.1:{port}/health"))
        assert isinstance(read, dict)
        return read

    def clean(self) -> None:
        for name in self.names:
            self.run("systemctl", "stop", name, check=False)
            self.run("systemctl", "reset-failed", name, check=False)
            self.run("rm", "-f", names.unit_path(name))
        self.run(
            "rm",
            "-rf",
            ETC,
            "/run/deployer/gpus",
            "/var/cache/deployer/units",
            "/var/cache/private/deployer/units",
            "/run/units-flag",
        )
        self.run("systemctl", "daemon-reload")


@pytest.fixture
def units(lab_fleet: LabFleet) -> Iterator[Units]:
    made = Units(lab_fleet)
    yield made
    made.clean()


def test_every_argument_and_variable_arrives_as_it_was_written(units: Units) -> None:
    odd = [word for word in ODD if "\x07" not in word]
    env = {f"ODD_{n}": word for n, word in enumerate(odd)}
    unit = spec("odd", 28500)
    unit = unit._replace(
        argv=(*unit.argv, *ODD), env={**unit.env, **env}, description='100% "odd" $HOME \\ \n[Service]\nUser=root'
    )
    units.run("systemctl", "start", units.add(unit, said="sécret 'x' \"y\" %h $HOME\n"))
    seen = units.seen(28500)
    assert tuple(seen["argv"]) == ODD
    assert {name: seen["env"][name] for name in env} == env
    assert seen["said"] == "sécret 'x' \"y\" %h $HOME\n"


def test_a_replica_is_nobody_and_can_write_only_to_its_cache(units: Units) -> None:
    name = units.add(spec("plain", 28501))
    units.run("systemctl", "start", name)
    seen = units.seen(28501)
    assert seen["uid"] != 0
    assert seen["writable"] == {"/etc": False, "/usr": False, "/var/lib": False, seen["env"]["CACHE"]: True}
    assert not {"mem", "kmsg", "nvidia0"} & set(seen["dev"])
    assert "hello" not in units.run("systemctl", "show", name) + units.run("ps", "-eo", "args")


def test_a_start_returns_only_when_the_engine_is_ready(units: Units) -> None:
    unit = spec("slow", 28502)
    name = units.add(unit._replace(env={**unit.env, "FLAG": "/run/units-flag"}))
    units.run("systemctl", "start", "--no-block", name)
    units.until(lambda: units.show(name, "SubState") == ("start-post",), "it waits for the engine")
    units.run("touch", "/run/units-flag")
    units.until(lambda: units.show(name, "ActiveState") == ("active",), "it is ready")


def test_an_engine_that_dies_while_it_starts_fails_at_once_and_not_for_ever(units: Units) -> None:
    name = units.add(spec("broken", 28503)._replace(argv=("/usr/bin/python3", "-c", "raise SystemExit(3)")))
    units.run("systemctl", "start", name, check=False)
    assert units.show(name, "Result", "ExecMainStatus") == ("exit-code", "3")
    units.until(lambda: units.show(name, "ActiveState") == ("failed",), "the start limit is reached", 60)


def test_an_engine_that_dies_with_exit_code_0_comes_back(units: Units) -> None:
    name = units.add(spec("mortal", 28504))
    units.run("systemctl", "start", name)
    [before] = units.show(name, "MainPID")
    units.run("curl", "-s", "-X", "POST", "http://127.0.0.1:28504/", check=False)
    units.until(lambda: units.show(name, "ActiveState", "NRestarts") == ("active", "1"), "it runs again")
    assert units.show(name, "MainPID") != (before,)


def test_two_replicas_on_one_gpu_start_one_after_the_other(units: Units) -> None:
    first, second = (spec(name, port, gpus=("GPU-1",)) for name, port in (("one", 28505), ("two", 28506)))
    one = units.add(first._replace(env={**first.env, "FLAG": "/run/units-flag"}))
    two = units.add(second)
    units.run("systemctl", "start", "--no-block", one)
    units.until(lambda: units.show(one, "SubState") == ("start-post",), "the first one starts")
    units.run("systemctl", "start", "--no-block", two)
    units.until(lambda: "same GPU" in units.run("journalctl", "-u", two, "--no-pager"), "the second one waits and says so")
    assert units.show(two, "SubState") == ("start-pre",)
    units.run("touch", "/run/units-flag")
    units.until(lambda: units.show(two, "ActiveState") == ("active",), "the second one starts once the first is ready")


def test_an_old_and_a_new_unit_of_one_slot_share_the_cache(units: Units) -> None:
    old, new = (spec("both", port, runtime_digest=digest * 32) for port, digest in ((28507, "aa"), (28508, "bb")))
    for unit in (old, new):
        units.run("systemctl", "start", units.add(unit))
    assert units.seen(28507)["uid"] == units.seen(28508)["uid"]
    assert units.seen(28507)["writable"][old.env["CACHE"]]


def test_the_gateway_takes_each_of_two_reloads_in_a_row(units: Units) -> None:
    units.run(
        "sh", "-c", "command -v haproxy || (apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y haproxy)"
    )
    config = GatewayConfig("units", "0ddba115", ("127.0.0.1:28509",))
    units.write(names.base_path("units"), base_config(config))
    units.write(names.models_path("units"), "# no models\n")
    name = units.text(names.gateway_unit_name("units"), gateway_unit(config))
    units.run("systemctl", "start", units.add(spec("chat", 28510)))
    units.run("systemctl", "start", name)
    for number in range(3):
        route = Route("0ddba115", f"d{number}", (Server("s", "127.0.0.1", 28510),), ("/v1/models",), None)
        units.write(names.route_path("units", f"d{number}"), deployment_config(route))
        units.run("systemctl", "reload", name)
        status = units.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:28509/d{number}/v1/models")
        assert status == "200"
    workers = units.run("ps", "-eo", "user,args")
    assert "haproxy  /usr/sbin/haproxy" in workers, "workers are not root"


def test_a_gateway_keeps_serving_when_its_new_configuration_is_wrong(units: Units) -> None:
    units.run(
        "sh", "-c", "command -v haproxy || (apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y haproxy)"
    )
    config = GatewayConfig("units", "0ddba115", ("127.0.0.1:28511",))
    units.write(names.base_path("units"), base_config(config))
    units.write(names.models_path("units"), "# no models\n")
    name = units.text(names.gateway_unit_name("units"), gateway_unit(config))
    units.run("systemctl", "start", name)
    units.write(names.route_path("units", "bad"), "backend be_bad\n    nonsense\n")
    assert units.fleet.run(HOST, ["systemctl", "reload", name], check=False).returncode != 0
    assert "deployment_not_found" in units.run("curl", "-s", "http://127.0.0.1:28511/x/v1/models")
