"""What a run can do, one class per kind of step. `STEPS` is written by hand: a step that is not here does not exist.

check   what is there now: a JSON value that `undo` needs, kept on disk before anything is changed.
        {"already": true} means that there is nothing to do
do      makes it so; gives a word for people, or None
undo    puts back what `check` found; also after a `do` that failed in its middle, and after a crash
"""

from __future__ import annotations

from typing import Dict

from deployer.agent.steps import (
    adapters,
    artifacts,
    blobs,
    convert,
    copying,
    enginecheck,
    environment,
    gateway,
    housekeeping,
    model,
    packages,
    peers,
    ready,
    record,
    text,
    traffic,
    units,
)
from deployer.agent.steps.base import Step

STEPS: Dict[str, Step] = {
    "blob.receive": blobs.Receive(),
    "tool.install": artifacts.InstallTool(),
    "env.build": environment.Build(),
    "model.download": model.Download(),
    "model.push": model.Push(),
    "scripts.push": model.PushScripts(),
    "model.convert": convert.Convert(),
    "model.copy": copying.Copy(),
    "engine.check": enginecheck.Check(),
    "artifact.remove": artifacts.Remove(),
    "package.install": packages.Install(),
    "package.remove": packages.Remove(),
    "file.write": text.Write(),
    "file.remove": text.Remove(),
    "tree.remove": housekeeping.RemoveTree(),
    "systemd.reload": units.Reload(),
    "unit.start": units.Start(),
    "unit.stop": units.Stop(),
    "unit.enable": units.Enable(),
    "unit.disable": units.Disable(),
    "unit.retire": units.Retire(),
    "unit.ready": ready.Ready(),
    "unit.adapters": adapters.Follow(),
    "gateway.keys": gateway.Keys(),
    "gateway.peers": peers.Peers(),
    "gateway.reload": gateway.Reload(),
    "gateway.drained": traffic.Drained(),
    "unit.steady": traffic.Steady(),
    "canary.watch": traffic.Watch(),
    "endpoint.ready": gateway.EndpointReady(),
    "endpoint.again": gateway.EndpointAgain(),
    "record": record.Record(),
    "revisions.drop": record.DropRevisions(),
    "run.undo": housekeeping.UndoRun(),
    "agent.remove": housekeeping.RemoveAgent(),
}
