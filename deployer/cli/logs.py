"""`deployer logs`: what the engines of a deployment write, from all its hosts."""

import argparse
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet
from deployer.errors import DeployerError

if TYPE_CHECKING:
    from deployer.app.records import Record
    from deployer.execute.logs import LogLine

EXAMPLES = (
    "deployer logs chat",
    "deployer logs chat -f",
    "deployer logs chat --requests -f",
    "deployer logs chat --failure   # why the last start failed",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="last lines per unit (default: 100)")
    parser.add_argument("--since", metavar="TIME", help="as journalctl reads it: '1 hour ago', 2026-01-02T10:00:00Z")
    parser.add_argument("--requests", action="store_true", help="one line for each request, as `logging` keeps them")
    parser.add_argument("--failure", action="store_true", help="the log that was kept of the first failure")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        deployment = fleet.deployment(args.name)
        if args.failure:
            return _failure(deployment.failure(), args)
        if args.requests:
            return _requests(deployment.requests(lines=args.lines, follow=args.follow, since=args.since), args)
        with contextlib.suppress(KeyboardInterrupt):
            for entry in deployment.logs(lines=args.lines, follow=args.follow, since=args.since):
                if args.json:
                    console.line(entry.json())
                else:
                    console.out(f"{entry.at[:19]} {entry.host} {entry.replica}  {entry.text}")
    return 0


def _requests(entries: "Iterable[LogLine]", args: argparse.Namespace) -> int:
    from deployer.app import records

    with contextlib.suppress(KeyboardInterrupt):
        for entry in entries:
            found = records.read(entry.text)
            if found is None:
                continue  # a line that was cut when its process was killed
            if args.json:
                console.line({"host": entry.host, "replica": entry.replica, "record": found.whole})
            else:
                console.out(_line(entry, found))
    return 0


def _line(entry: "LogLine", record: "Record") -> str:
    what = f"{record.status}  {record.route}  {record.took}"
    return f"{record.at[:23]} {entry.host} {entry.replica}  {what}  {record.tokens}  {record.id}"


def _failure(found: dict[str, object] | None, args: argparse.Namespace) -> int:
    if args.json:
        console.emit({"failure": found})
        return 0
    if found is None:
        raise DeployerError(f"no failure of {args.name} is kept", where=args.name, hint=f"deployer logs {args.name}")
    console.out(
        f"{found.get('host')} at {found.get('at')}, revision {found.get('revision')}: {found.get('cause') or 'cause unknown'}"
    )
    log = found.get("log")
    console.out("\n".join(str(line) for line in log) if isinstance(log, list) else str(log or ""))
    return 0
