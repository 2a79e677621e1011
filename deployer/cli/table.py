"""Every command: its module and its line in `deployer --help`. Nothing is imported until a command is used."""

import argparse
import importlib
from collections.abc import Mapping
from typing import Protocol, cast


class Command(Protocol):
    """What the module of a command has."""

    EXAMPLES: tuple[str, ...]

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


#: name → (module in deployer.cli, line)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "make a fleet in a folder"),
    "validate": ("validate", "check every file, say every problem"),
    "lock": ("lock", "pin models and engine packages in deployer.lock"),
    "doctor": ("doctor", "what would go wrong on the hosts, and what to do about it"),
    "plan": ("plan", "ask the hosts and show what would change"),
    "models": ("models", "the catalogue: models to deploy, what fits where, one whole"),
    "fit": ("fit", "which hosts could serve a model, and how"),
    "apply": ("apply", "make, show and do a plan, or do a saved one"),
    "attach": ("attach", "follow an apply that runs on the hosts without you"),
    "ui": ("ui", "review plans, watch applies, see the fleet in the terminal"),
    "status": ("status", "how deployments and hosts are"),
    "logs": ("logs", "what the engines write"),
    "history": ("history", "revisions of a deployment: what, who, when, why"),
    "endpoint": ("endpoint", "the address of a deployment, with a request to copy"),
    "rollback": ("rollback", "go back to an earlier revision, and hold it there"),
    "promote": ("canary", "make of a canary what all replicas are"),
    "revert": ("canary", "take a canary away, and hold the revision of the others"),
    "stop": ("hold", "stop deployments; the next apply keeps them stopped"),
    "start": ("hold", "start what was stopped"),
    "restart": ("restart", "give running replicas a new process"),
    "destroy": ("hold", "remove deployments from the hosts"),
    "prune": ("prune", "remove what the hosts have and the files do not"),
    "gc": ("gc", "forget revisions beyond keep, and what only they stood on"),
    "adopt": ("adopt", "write a hand-made unit's deployment file"),
    "keys": ("keys", "API keys of an endpoint: create, list, revoke"),
    "hosts": ("hosts", "the machines: list, probe, trust, cordon, drain, uncordon"),
    "engines": ("engines", "options of engines, version by version: list, options, diff, sync"),
    "metrics": ("metrics", "what Prometheus and Grafana need to watch the fleet"),
    "lab": ("lab", "throwaway hosts on this machine, to try things on"),
    "schema": ("schema", "write the JSON Schemas for editors"),
    "version": ("version", "which deployer this is"),
    "completion": ("completion", "print shell completion: bash, zsh, tcsh"),
}


def find(name: str) -> Command:
    return cast(Command, importlib.import_module(f"deployer.cli.{COMMANDS[name][0]}"))


def overview() -> str:
    """`deployer --help`: examples first."""
    width = max(len(name) for name in COMMANDS)
    commands = "\n".join(f"  {name:<{width}}  {line}" for name, (_, line) in COMMANDS.items())
    return f"""\
deployer plan                        ask the hosts and show what would change
deployer apply chat                  do it for one deployment, after showing it
deployer status -C ~/fleets/acme     how everything is, of a fleet elsewhere

Declarative deployment of self-hosted models: YAML in git, plan and apply over SSH.

usage: deployer COMMAND [-C DIR] …

{commands}

  -C DIR       the fleet's folder (default: this one)
  -h, --help   of deployer, or of a command: deployer plan --help

exit codes: 0 done · 1 error · 2 plan has changes · 3 files wrong · 4 refused · 5 failed, old version serves ·
            6 host unreachable · 7 locked · 8 plan stale · 64 wrong command line · 130 interrupted
"""
