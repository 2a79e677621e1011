"""The plan review of a plan with 10 000 changes: from the plan to the first picture, and from a key in the filter to the next
picture, against the same with a plan of a few changes.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from textual import events

import deployer.tui.app
from benchmarks.measure import Row, finish, within
from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.app.session import Session
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.spec.load import Loaded
from deployer.spec.positions import Positions
from deployer.tui.app import DeployerApp
from deployer.tui.screens.plan import PlanPlace
from deployer.tui.widgets.filterline import FilterLine
from tests.plan.worlds import WorldMaker, deployment, host, probe

CHANGES = 10_000
OPEN_S, KEY_S = 1.0, 0.05
TYPED = ("model-7", "host:gpu-1", "+ endpoint", "dep:model-12 !package", "downtime")
SILENT = " "  # a key after which the same is shown
ROUNDS = 3


def plan_of(hosts: int) -> tuple[Loaded, Plan]:
    """Every host with three deployments, all new: 15 changes each."""
    names = [f"gpu-{number}" for number in range(hosts)]
    every = [deployment(f"model-{n}", placement={"hosts": (names[n % hosts],)}) for n in range(3 * hosts)]
    maker = WorldMaker(every, [host(name) for name in names], {name: probe(name) for name in names})
    world = maker.world()
    return Loaded(world.fleet, Positions({}), Path(tempfile.gettempdir()), {}), make_plan(world)


class Pictures(DeployerApp):
    """Notes when a picture was drawn, and whether it was already of the rows that are shown now."""

    CSS_PATH = Path(deployer.tui.app.__file__).with_name("style.tcss")

    def __init__(self, session: Session) -> None:
        super().__init__(session, begin="plan", watching=False, tick_s=60)
        self.place: PlanPlace | None = None
        self.drawn: list[tuple[float, int]] = []

    def post_display_hook(self) -> None:
        if self.place is not None:
            self.drawn.append((time.perf_counter(), id(self.place.rows.rows)))

    async def picture_after(self, act: Callable[[], object], place: PlanPlace) -> float:
        """Seconds from `act` to the first picture with other rows than before."""
        before, self.drawn = id(place.rows.rows), []
        kept = place.rows.rows  # so that no other object has its id
        start = time.perf_counter()
        act()
        while not (done := [at for at, rows in self.drawn if rows != before]):
            if time.perf_counter() - start > 10:
                raise SystemExit("no picture came within 10 s")
            await asyncio.sleep(0.0005)
        del kept
        return done[0] - start


async def measure(loaded: Loaded, plan: Plan, first: Plan) -> tuple[float, list[float]]:
    """Seconds to open the plan, and from each key to its picture. `first`: what is under review before."""
    session = Session(Fleet(loaded), read_only=True)
    session.planned = Planned(session.fleet, first, 1.0, None)  # so that opening asks no hosts
    app = Pictures(session)
    async with app.run_test(size=(120, 40)) as pilot:
        while not app.settled:
            await asyncio.sleep(0.01)
        await pilot.pause()
        place = app.screen
        assert isinstance(place, PlanPlace)
        app.place = place
        opened = await app.picture_after(lambda: place.take(Planned(session.fleet, plan, 1.0, None)), place)
        keys = [seconds for text in TYPED for seconds in await typed(app, place, text)]
    return opened, keys


async def typed(app: Pictures, place: PlanPlace, text: str) -> list[float]:
    """A filter, key by key, as fast as the pictures come; then it is cleared."""
    place.action_filter()
    await asyncio.sleep(0.05)
    found = []
    for character in text:
        key = events.Key("space" if character == " " else character, character)
        if character in SILENT:
            place.query_one(FilterLine).insert_text_at_cursor(character)
            await asyncio.sleep(0.05)
            continue
        found.append(await app.picture_after(lambda key=key: app.post_message(key), place))
    place.query_one(FilterLine).action_clear()
    await asyncio.sleep(0.05)
    return found


def main() -> int:
    loaded, plan = plan_of(1 + CHANGES // 15)
    small_loaded, small = plan_of(1)
    empty = replace(small, plan_id="empty", changes=())
    if len(plan.changes) < CHANGES:
        raise SystemExit(f"the benchmark's plan has {len(plan.changes)} changes: {plan.refusals[:3]}")
    opened, keys, opened_small, keys_small = [], [], [], []
    for _ in range(ROUNDS):
        for its, of, taken, typed_ in ((loaded, plan, opened, keys), (small_loaded, small, opened_small, keys_small)):
            seconds, each = asyncio.run(measure(its, of, empty))
            taken.append(seconds)
            typed_ += each
    what, few = f"{len(plan.changes)} changes", f"{len(small.changes)} changes"
    p95 = [statistics.quantiles(each, n=20)[-1] for each in (keys, keys_small)]
    rows: list[Row] = [
        within(f"plan review opens, {what}", statistics.median(opened), OPEN_S, statistics.median(opened_small), few),
        within(f"filter key to picture, p95 of {len(keys)}, {what}", p95[0], KEY_S, p95[1], few),
    ]
    return finish(rows)


if __name__ == "__main__":
    sys.exit(main())
