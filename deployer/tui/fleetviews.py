"""The two lists of the fleet's place, ready to be shown: what of the fleet fits the filter, in its order and form. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from deployer.app.looking import FleetNow, HostNow
from deployer.app.values import DeploymentState
from deployer.tui import deploymentrows, fleetquery, heatmap, hostrows
from deployer.tui.fleetquery import ORDERS, Query
from deployer.tui.glyphs import Glyphs
from deployer.tui.widgets.rows import Entry, Row

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet

#: The forms of the hosts that `v` goes through.
FORMS = {"full": "a row per GPU", "compact": "a row per host", "heat": "a map of all GPUs"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person chose. `form` None: what fits."""

    query: Query = Query()
    order: str = ORDERS[0]
    form: str | None = None

    def next_order(self) -> str:
        return ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]

    def form_for(self, now: FleetNow, lines: int) -> str:
        """What was chosen; else a row for each as long as these are at most two screens of so many lines."""
        if self.form is not None:
            return self.form
        gpus = sum(max(1, len(host.gpus)) for host in now.hosts.values())
        return "full" if gpus <= 2 * lines else "compact" if len(now.hosts) <= 2 * lines else "heat"


@dataclass(frozen=True, slots=True)
class View:
    """`layout`: rows drawn under another one must be drawn anew. `places`: of a map, the hosts of each row."""

    entries: list[Entry]
    draw: Callable[[Entry], Row]
    head: Row
    layout: object
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def deployments_view(now: FleetNow, fleet: "Fleet", wanted: Wanted, width: int, glyphs: Glyphs) -> View:
    """As the last status said; what it does not know (yet), from the files."""
    known = list(now.status.deployments) if now.status else []
    names = {one.name for one in known}
    known += [DeploymentState(n, deploymentrows.ASKING, None, None, ()) for n in fleet.spec.deployments if n not in names]
    shown = [one for one in known if fleetquery.fits_deployment(one, wanted.query)]
    shown = fleetquery.in_order(shown, now.figures, wanted.order)
    fitted = deploymentrows.columns_for((one.name for one in shown), width, priced=any(one.cost for one in shown))
    engines = {name: spec.engine.name for name, spec in fleet.spec.deployments.items()}
    entries = deploymentrows.entries(shown, now.figures, now.hosts, engines)
    return View(entries, partial(deploymentrows.draw, fitted=fitted, glyphs=glyphs), deploymentrows.head(fitted), fitted)


def shown_hosts(now: FleetNow, fleet: "Fleet", wanted: Wanted) -> list[HostNow]:
    hosts = [*now.hosts.values(), *(HostNow(name, "connecting") for name in fleet.spec.hosts if name not in now.hosts)]
    fitting = [host for host in hosts if fleetquery.fits_host(host, _labels(fleet, host.name), wanted.query)]
    return fleetquery.hosts_in_order(fitting, wanted.order)


def _labels(fleet: "Fleet", host: str) -> dict[str, str]:
    spec = fleet.spec.hosts.get(host)
    return dict(spec.labels) if spec else {}


def rows_view(now: FleetNow, fleet: "Fleet", wanted: Wanted, form: str, width: int, every_s: float, glyphs: Glyphs) -> View:
    """A row per GPU, or a row per host. `every_s`: seconds between two samples."""
    hosts = shown_hosts(now, fleet, wanted)
    said = {host.name: host for host in now.status.hosts} if now.status else {}
    states: dict[str, str] = {name: host.state for name, host in fleet.spec.hosts.items()}
    states |= {name: host.state for name, host in said.items() if host.hold}
    words = [hostrows.state_word(host, states.get(host.name, "active")) for host in hosts if host.state == "up"]
    fitted = hostrows.columns_for(
        (host.name for host in hosts),
        width,
        compact=form == "compact",
        gpus=max((len(host.gpus) for host in hosts), default=1),
        state_width=max((len(word) + 2 for word in words), default=4),
    )
    entries = (hostrows.compact if form == "compact" else hostrows.full)(hosts, said, states)
    draw = partial(hostrows.draw, fitted=fitted, glyphs=glyphs)
    return View(entries, draw, hostrows.head(fitted, every_s), (form, fitted))


def map_view(now: FleetNow, fleet: "Fleet", wanted: Wanted, size: tuple[int, int], chosen: str | None, glyphs: Glyphs) -> View:
    """All GPUs in `size` (cells across, lines); `chosen`: the host that the cursor is on."""
    hosts = shown_hosts(now, fleet, wanted)
    labels = {host.name: ", ".join(f"{k}={v}" for k, v in _labels(fleet, host.name).items()) for host in hosts}
    found = heatmap.heat_map(hosts, labels, size[0], size[1], chosen)
    return View(found.entries, partial(heatmap.draw, glyphs=glyphs), heatmap.head(glyphs), "heat", found.places)
