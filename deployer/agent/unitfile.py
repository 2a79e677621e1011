"""`unit`: what a unit that somebody else made starts, for `adopt`. Only reads. Values that may be secrets never leave the host:
of the environment only names are told, and of arguments that look like secrets only that they are there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import Any, Dict, List, Tuple

from deployer.agent import files, paths, systemctl, wire
from deployer.agent.facts import state
from deployer.agent.system import System
from deployer.agent.talk import Talk

#: Where units are, the first wins.
FOLDERS = (wire.UNITS, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
HIDDEN = "•••"
SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
SECRET_VALUE = re.compile(r"(hf_|sk-|ghp_|glpat-|AKIA|eyJ)[A-Za-z0-9_\-.]{8,}|[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@")
SECRET_FLAGS = ("--api-key", "--hf-token", "--ssl-keyfile-password", "--token")
#: Variables whose values say where it runs, and nothing else.
PLAIN = ("CUDA_VISIBLE_DEVICES",)
#: Of our own server's configuration.
CONFIG_BYTES = 64 * 1024


def unit(system: System, request: Dict[str, Any], talk: Talk) -> None:
    fleet, name = paths.check_fleet(request["fleet"]), str(request["unit"])
    if not paths.UNIT.match(name) or not name.endswith(".service"):
        raise paths.Refusal("%r is not the name of a service" % (name,))
    if name.startswith(wire.UNIT):
        raise paths.Refusal("%s is deployer's own already" % name)
    talk.say(dict(read(system, name), type="unit", fleet=fleet["name"]))


def read(system: System, name: str) -> Dict[str, Any]:
    texts = _texts(system, name)
    if not texts:
        raise paths.Refusal("there is no unit file of %s in %s" % (name, ", ".join(FOLDERS)))
    service = _service([line for _, text in texts for line in _lines(text)])
    environment, hidden = _environment(system, service)
    argv = [_expanded(word, environment) for word in _words(_last(service, "ExecStart"))]
    shown = systemctl.ask_one(system, name)
    return {
        "unit": name,
        "files": [path for path, _ in texts],
        "active": systemctl.is_up(shown),
        "enabled": shown.get("UnitFileState") == "enabled",
        "argv": redacted(argv, hidden),
        "config": _config(system, argv),
        "user": _last(service, "User") or None,
        "variables": sorted(environment),
        "values": {key: environment[key] for key in PLAIN if key in environment},
        "secrets": sorted(hidden),
        "other": sorted({key for key, _ in service} - {"ExecStart", "Environment", "EnvironmentFile", "User"}),
    }


def _texts(system: System, name: str) -> List[Tuple[str, str]]:
    """The unit's file and its drop-ins, in the order in which systemd lays them over each other."""
    found: List[Tuple[str, str]] = []
    for folder in FOLDERS:
        text = files.read(system, "%s/%s" % (folder, name))
        if text is not None:
            found.append(("%s/%s" % (folder, name), text.decode("utf-8", "replace")))
            break
    if not found:
        return []
    dropins: Dict[str, str] = {}
    for folder in reversed(FOLDERS):
        inside = "%s/%s.d" % (folder, name)
        dropins.update({one: "%s/%s" % (inside, one) for one in state.listing(system, inside) if one.endswith(".conf")})
    for _, path in sorted(dropins.items()):
        found.append((path, (files.read(system, path) or b"").decode("utf-8", "replace")))
    return found


def _lines(text: str) -> List[str]:
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line.strip() for line in joined.splitlines() if line.strip() and line.strip()[0] not in "#;"]


def _service(lines: List[str]) -> List[Tuple[str, str]]:
    """The settings of [Service]; an empty one takes back what was said before of the same name."""
    found: List[Tuple[str, str]] = []
    section = ""
    for line in lines:
        if line.startswith("["):
            section = line
            continue
        key, equals, value = line.partition("=")
        if section != "[Service]" or not equals:
            continue
        key, value = key.strip(), value.strip()
        if not value:
            found = [one for one in found if one[0] != key]
        else:
            found.append((key, value))
    return found


def _last(service: List[Tuple[str, str]], key: str) -> str:
    return next((value for name, value in reversed(service) if name == key), "")


def _words(text: str) -> List[str]:
    try:
        found = shlex.split(text)
    except ValueError:
        found = text.split()
    return [found[0].lstrip("@-:+!"), *found[1:]] if found else []


def _environment(system: System, service: List[Tuple[str, str]]) -> Tuple[Dict[str, str], List[str]]:
    """Every variable, and the names of those that look like secrets. Stays on this host but for what `read` picks."""
    found: Dict[str, str] = {}
    for key, value in service:
        if key == "Environment":
            pairs = _words(value)
        elif key == "EnvironmentFile":
            try:
                text = files.read(system, value.lstrip("-"))
            except OSError:
                text = None
            pairs = [" ".join(shlex.split(line, comments=True)) for line in _lines((text or b"").decode("utf-8", "replace"))]
        else:
            continue
        found.update({name: rest for name, equals, rest in (pair.partition("=") for pair in pairs) if equals})
    return found, [name for name, value in found.items() if SECRET_NAME.search(name) or SECRET_VALUE.search(value)]


def _expanded(word: str, environment: Dict[str, str]) -> str:
    def value(match: Any) -> str:
        name = match.group(1) or match.group(2)
        text = environment.get(name, "")
        return HIDDEN if SECRET_NAME.search(name) or SECRET_VALUE.search(text) else text

    return re.sub(r"\$\{(\w+)\}|\$(\w+)", value, word)


def redacted(argv: List[str], hidden: List[str]) -> List[str]:
    """The arguments without the values of those that look like secrets; their names are added to `hidden`."""
    found: List[str] = []
    secret = False
    for word in argv:
        name, equals, _ = word.partition("=")
        if secret and not word.startswith("--"):
            found.append(HIDDEN)
            continue
        secret = name in SECRET_FLAGS or (word.startswith("--") and bool(re.search(r"secret|passw", name)))
        if secret:
            hidden.append(name)
        if (secret and equals) or SECRET_VALUE.search(word):
            found.append(name + "=" + HIDDEN if equals else HIDDEN)
            secret = False
        else:
            found.append(word)
    return found


def _config(system: System, argv: List[str]) -> Any:
    """The configuration of our own CTranslate2 server, when it is one."""
    if not any(os.path.basename(word) in ("serve.pyz", "deployer.serve") for word in argv) or "--config" not in argv[:-1]:
        return None
    path = argv[argv.index("--config") + 1]
    try:
        text = files.read(system, path) if path.startswith("/") else None
        found = json.loads(text) if text is not None and len(text) <= CONFIG_BYTES else None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
