"""`logs`: lines of this fleet's units out of systemd's journal."""

from __future__ import annotations

import calendar
import json
import re
import time
from typing import Any, Dict, List, Optional

from deployer.agent import paths, requestlog, wire
from deployer.agent.plain import CONTROL
from deployer.agent.system import System
from deployer.agent.talk import Talk
from deployer.agent.times import iso


def logs(system: System, request: Dict[str, Any], talk: Talk) -> None:
    fleet = paths.check_fleet(request["fleet"])
    if request.get("files"):
        wanted = {paths.own_unit(fleet, unit): requestlog.path_of(fleet, folder) for unit, folder in request["files"].items()}
        for found in requestlog.read(
            system, wanted, int(request.get("lines") or 100), request.get("since"), bool(request.get("follow"))
        ):
            if found is None:
                talk.say({"type": "tick"})
            else:
                talk.say({"type": "log", "unit": found[0], "at": found[1], "text": found[2]})
        return
    stream = system.stream(_argv(paths.check_fleet(request["fleet"]), request))
    try:
        for line in stream:
            if line is None:
                talk.say({"type": "tick"})
                continue
            entry = parse(line)
            if entry is None:
                continue
            for text in entry["lines"]:
                talk.say({"type": "log", "unit": entry["unit"], "at": iso(entry["at"]), "text": text})
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()


def _argv(fleet: wire.Fleet, request: Dict[str, Any]) -> List[str]:
    argv = ["journalctl", "-q", "--no-pager", "-o", "json", "--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT"]
    for unit in request.get("units") or []:
        argv += ["-u", paths.own_unit(fleet, str(unit))]
    if not request.get("units"):
        argv += ["-u", paths.unit_prefix(fleet) + "*"]
    if request.get("lines") is not None:
        argv += ["-n", str(int(request["lines"]))]
    if request.get("since"):
        argv += ["--since", "@%d" % _seconds(str(request["since"]))]
    if request.get("follow"):
        argv.append("-f")
    if request.get("requests"):
        argv.append("SYSLOG_FACILITY=" + requestlog.FACILITY)
    elif request.get("logged"):  # its records are in the journal too, and are not what is asked for
        argv.append("--facility=" + ",".join(str(n) for n in range(24) if str(n) != requestlog.FACILITY))
    return argv


def _seconds(text: str) -> int:
    """From "2026-11-20T23:51:37Z", with or without a fraction."""
    found = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", text)
    if not found:
        raise paths.Refusal("since: %r is not a time like 2026-11-20T23:51:37Z" % text)
    return calendar.timegm(time.strptime("%s %s" % found.groups(), "%Y-%m-%d %H:%M:%S"))


def parse(line: bytes) -> Optional[Dict[str, Any]]:
    """{"at", "unit", "lines", "cursor"} of one entry of `journalctl -o json`. Nothing is left for a terminal to obey; a progress
    bar's carriage returns leave only its last state; a message that is not UTF-8 comes as a list of bytes.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    message = entry.get("MESSAGE") or ""
    if isinstance(message, list):
        message = bytes(b & 255 for b in message).decode("utf-8", "replace")
    lines: List[str] = []
    for one in str(message).split("\n"):
        last = CONTROL.sub("", one).rstrip("\r").rpartition("\r")[2].rstrip()
        if last:
            lines.append(last)
    return {
        "at": int(entry.get("__REALTIME_TIMESTAMP") or 0) / 1e6,
        "unit": entry.get("_SYSTEMD_UNIT") if "UNIT" not in entry else entry["UNIT"],
        "lines": lines,
        "cursor": entry.get("__CURSOR"),
    }
