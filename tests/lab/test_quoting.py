"""Odd text from the YAML to a process under a real systemd: both engines' own units, with a stand-in behind the name of
their Python that tells what it received.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.app import checking
from deployer.engines import ENGINES
from deployer.engines.base import Slot
from deployer.engines.launch import launch
from tests.engines.builders import model
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

HOST, PLACE = "lab-3", "/opt/odd"
ODD = (
    "",
    " a  b ",
    "%h",
    "%%",
    "$HOME",
    "${HOME}",
    ";",
    "\\",
    '"',
    "'",
    "a\nb",
    "\t",
    "ü😀",
    "-x",
    "#",
    "\\x41",
    "{a: b}",
    "a\n[Service]\nUser=root",
)
PORTS = {"ctranslate2": 20901, "vllm": 20902}
SETTINGS: dict[str, dict[str, Any]] = {
    "ctranslate2": {},
    "vllm": {"variant": "cpu", "args": {"hf_overrides": {word: word for word in ODD}}},
}

#: Stands for the engine: answers everything with what it was given.
TELLER = """\
import http.server, json, os, sys
folder = os.environ["CREDENTIALS_DIRECTORY"]
files = {name: open(os.path.join(folder, name)).read() for name in os.listdir(folder)}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"env": dict(os.environ), "argv": sys.argv[2:], "files": files}).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def lab(lab_fleet: LabFleet) -> Iterator[LabFleet]:
    start = '#!/bin/sh\nexec /usr/bin/python3 -I {place}/teller.py {port} "$@"\n'
    for engine, port in PORTS.items():
        put(lab_fleet, {f"{PLACE}/{engine}/bin/python": start.format(place=PLACE, port=port)}, 0o755)
    put(lab_fleet, {f"{PLACE}/teller.py": TELLER}, 0o644)
    yield lab_fleet
    for line in ("systemctl stop 'deployer-odd-*'", "rm -rf /opt/odd /etc/deployer/odd /etc/systemd/system/deployer-odd-*"):
        lab_fleet.run(HOST, ["sh", "-c", line], check=False)
    lab_fleet.run(HOST, ["systemctl", "daemon-reload"])


#: Writes files as the agent would. Standard input: {"files": {path: content}, "mode"}.
WRITER = """\
import json, os, sys
asked = json.load(sys.stdin)
for path, content in asked["files"].items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    os.chmod(path, asked["mode"])
"""


def put(lab: LabFleet, files: dict[str, str], mode: int) -> None:
    lab.run(HOST, ["python3", "-I", "-c", WRITER], stdin=json.dumps({"files": files, "mode": mode}))


def written(root: Path, engine: str, stop: list[str]) -> Any:
    """The deployment, as it is loaded from the YAML that a person writes."""
    env = {f"ODD_{number}": word for number, word in enumerate(ODD)}
    text = {
        "name": engine,
        "description": "100% 'odd' $HOME \\ \n[Service]\nUser=root",
        "model": {"host_path": "/srv/m"},
        "engine": {engine: {**SETTINGS[engine], "env": env}},
        "sampling": {"stop": stop},
        "endpoint": {"model_names": ['50% of "it" $HOME ü']},
    }
    for folder in ("hosts", "deployments"):
        (root / folder).mkdir()
    (root / "deployer.yaml").write_text("id: 0ddba115\nname: odd\n")
    (root / "hosts" / "lab-3.yaml").write_text("name: lab-3\naddress: 192.0.2.3\n")
    (root / "deployments" / f"{engine}.yaml").write_text(yaml.safe_dump(text, allow_unicode=True))
    return checking.load(root).fleet.deployments[engine]


@pytest.mark.parametrize("engine", sorted(PORTS))
def test_a_process_receives_byte_for_byte_what_the_yaml_says(lab: LabFleet, tmp_path: Path, engine: str) -> None:
    stop = [word for word in ODD if word] if engine == "ctranslate2" else []
    spec = written(tmp_path, engine, stop)
    slot = Slot(HOST, 0, PORTS[engine], (), "x86_64")
    paths = {"env": f"{PLACE}/{engine}", "model": "/srv/m", "serve": "/opt/serve.pyz"}
    process = ENGINES[engine].process(spec, model(), slot)
    made = launch(process, spec, slot, fleet="odd", fleet_id="0ddba115", identity=("e", "m"), paths=paths)
    put(lab, dict(made.files), 0o600)
    put(lab, {made.path: made.text}, 0o644)
    lab.run(HOST, ["sh", "-c", f"systemctl daemon-reload && systemctl start {made.unit}"])
    seen = json.loads(lab.run(HOST, ["curl", "-sS", f"http://127.0.0.1:{PORTS[engine]}/"]).stdout)
    assert {n: seen["env"][f"ODD_{n}"] for n in range(len(ODD))} == dict(enumerate(ODD))
    shown = lab.run(HOST, ["systemctl", "show", "-p", "Description", "-p", "User", made.unit]).stdout
    assert f"Description=deployer odd {engine}/0: 100% 'odd' $HOME" in shown
    assert "User=root" not in shown.splitlines()
    if engine == "vllm":
        said = yaml.safe_load(seen["files"]["args.yaml"])
        assert json.loads(said["hf-overrides"]) == {word: word for word in ODD}
        assert spec.endpoint.model_names[0] in said["served-model-name"]
    else:
        config = seen["files"]["config.json"]
        assert all(json.dumps(word, ensure_ascii=False) in config for word in stop)
        assert json.dumps(spec.endpoint.model_names[0], ensure_ascii=False) in config
