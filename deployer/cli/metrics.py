"""`deployer metrics`: files for Prometheus and Grafana, made from the fleet as it stands."""

import argparse
from pathlib import Path

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet

EXAMPLES = (
    "deployer metrics --out /etc/prometheus/deployer   # targets.json for file_sd_configs, dashboard.json for Grafana",
    "deployer metrics --json | jq '.targets[].targets'",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, help="write targets.json and dashboard.json there")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        found = fleet.scraping()
    if args.out is not None:
        found.write(args.out)
        console.say(f"{args.out}/targets.json has {len(found.targets)} targets; {args.out}/dashboard.json is for Grafana")
    if args.json:
        console.emit(found.json())
    elif args.out is None:
        rows = [(t["labels"]["job"], t["targets"][0], t["labels"]["__metrics_path__"]) for t in found.targets]
        console.out(console.table([("JOB", "ADDRESS", "PATH"), *rows]) if rows else "nothing of this fleet stands anywhere yet")
    return 0
