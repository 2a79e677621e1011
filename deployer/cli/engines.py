"""`deployer engines`: the options each version of an engine takes: which are known, reading one, comparing two."""

import argparse
from pathlib import Path

from deployer.app import tables
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.engines.vllm_flags import Flag

EXAMPLES = (
    "deployer engines list",
    "deployer engines options 0.33 kv                # its options with kv in their name",
    "deployer engines diff 0.32 0.33                 # what an upgrade brings and takes",
    "deployer engines sync --version 0.33.0          # read them from the wheel's source",
    "deployer engines sync --check                   # in CI: are the tables as the source says?",
)
_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = shared.verbs(parser)
    listing = verbs.add_parser("list", help="the versions whose options are known")
    options = verbs.add_parser("options", help="the options of one version")
    options.add_argument("version", metavar="VERSION")
    options.add_argument("part", metavar="TEXT", nargs="?", default="", help="only those with this in their name")
    diff = verbs.add_parser("diff", help="what differs between two versions")
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")
    sync = verbs.add_parser(
        "sync",
        help="read a version's options from its wheel and write the table; the index is uv's or pip's, the wheel is large, "
        "nothing of it is run",
    )
    sync.add_argument("--version", help="default: those deployer is tested with")
    sync.add_argument("--check", action="store_true", help="write nothing; exit 1 when a table differs from the source")
    sync.add_argument("--out", metavar="DIR", type=Path, help="where (default: beside the tables of this deployer)")
    for verb in (listing, options, diff, sync):
        verb.add_argument("--engine", default="vllm", choices=sorted(tables.PACKAGES), help="default: vllm")
        shared.chdir_again(verb)
        shared.as_json(verb)


def run(args: argparse.Namespace) -> int:
    if args.verb == "list":
        _list(args)
    elif args.verb == "options":
        _options(args)
    elif args.verb == "diff":
        _diff(args)
    else:
        return _sync(args)
    return 0


def _list(args: argparse.Namespace) -> None:
    found = tables.tables(args.engine)
    if args.json:
        console.emit(
            {"engine": args.engine, "versions": [{"version": v, "options": n, "starts": starts} for v, n, starts in found]}
        )
    else:
        rows = [(args.engine, v, str(n), "" if starts else "to compare only") for v, n, starts in found]
        console.out(console.table([("ENGINE", "VERSION", "OPTIONS", ""), *rows]))


def _options(args: argparse.Namespace) -> None:
    wanted = args.part.replace("-", "_")
    found = {name.replace("-", "_"): flag for name, flag in sorted(tables.options(args.engine, args.version).items())}
    found = {name: flag for name, flag in found.items() if wanted in name}
    if args.json:
        console.emit({"engine": args.engine, "version": args.version, "options": {n: _json(f) for n, f in found.items()}})
        return
    rows = [(name, f"{flag.kind}{' …' if flag.many else ''}", flag.default or "", _said(flag)) for name, flag in found.items()]
    console.out(console.table([("OPTION", "KIND", "DEFAULT", ""), *rows]) if rows else "no option has this in its name")


def _json(flag: Flag) -> dict[str, object]:
    return {name: getattr(flag, name) for name in ("kind", "many", "choices", "default", "deprecated")}


def _said(flag: Flag) -> str:
    return flag.deprecated or " ".join(flag.choices)


def _diff(args: argparse.Namespace) -> None:
    found = tables.compare(args.engine, args.old, args.new)
    if args.json:
        rows = [{"change": change, "option": name, "what": what} for change, name, what in found]
        console.emit({"engine": args.engine, "before": args.old, "after": args.new, "changes": rows})
        return
    for change, name, what in found:
        console.out(f"  {_MARKS[change]} {name}{f': {what}' if what else ''}")
    if not found:
        console.out(f"the options of {args.engine} {args.old} and {args.new} are the same")


def _sync(args: argparse.Namespace) -> int:
    found = tables.sync(args.engine, args.version, args.out, check=args.check, say=console.say)
    late = [one for one in found if one.behind and one.file is None]
    if args.json:
        keys = ("engine", "version", "options", "origin", "behind")
        console.emit({"tables": [{**{k: getattr(one, k) for k in keys}, "file": one.file and str(one.file)} for one in found]})
        return 1 if late else 0
    for one in found:
        state = (
            "differs from the source: deployer engines sync"
            if one in late
            else f"written to {one.file}"
            if one.file
            else "is as the source says"
        )
        console.out(f"{one.engine} {one.version}, {one.options} options out of {one.origin}: {state}")
    return 1 if late else 0
