"""What `deployer metrics` makes, as files. Called by Fleet.scraping."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
