"""What `deployer metrics` makes, as files. Called by Fleet.scraping."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.errors import UsageError
from deployer.execute.scraping import dashboard, targets
from deployer.plan.roster import latest
from deployer.state.observed import Observed

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Scraping:
    """`targets` for Prometheus' file_sd_configs, `dashboard` for Grafana."""

    targets: list[dict[str, Any]]
    dashboard: dict[str, Any]

    def json(self) -> dict[str, Any]:
        return {"targets": self.targets, "dashboard": self.dashboard}

    def write(self, folder: Path) -> None:
        """Prometheus reads targets.json whenever it changes: it is never half there."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in (("targets.json", self.targets), ("dashboard.json", self.dashboard)):
            new = folder / f".{name}.new"
            new.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
            new.replace(folder / name)


def scraping(fleet: "Fleet", observed: Observed | None) -> Scraping:
    if fleet.spec.gateway.metrics is None:
        hint = "write gateway: {metrics: {allow: [10.0.0.0/8]}} in deployer.yaml, with the network of your Prometheus"
        raise UsageError("gateways of this fleet show no figures", hint=hint)
    observed = fleet.probe(gpus=False) if observed is None else observed
    return Scraping(targets(fleet.spec, latest(observed)), dashboard(fleet.spec))
