"""What the snapshots show: screens of the real application over fake hosts and figures made by hand, at an hour that stands
still.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.looking import Figures
from deployer.tui.app import DeployerApp
from tests.tui.conftest import see, shown, until
from tests.tui.fleets import Looking, deployment, host

Scene = Callable[[Pilot[int]], Awaitable[None]]


def application(fleet: Fleet) -> DeployerApp:
    """Two hosts, three deployments: one serves, one loads, one failed."""
    session = Looking(fleet)
    session.hear(
        [host("h1"), host("h2"), host("h3", 0, "unreachable", error="timed out after 5 s")],
        [
            deployment("chat", "deployed", "h1:0", "h2:1"),
            deployment("embed", "starting", "h2:0"),
            deployment("whisper", "failed", "h1:1"),
        ],
        chat=Figures(12.4, 0.64, 1474.0, 0.61, 3, 17),
        embed=Figures(phase="loading shards 5 of 15"),
    )
    return DeployerApp(session, watching=False, tick_s=3600, clock=lambda: 0.0)


async def fleet_place(pilot: Pilot[int]) -> None:
    await see(pilot, "deployed")


async def plan_place(pilot: Pilot[int]) -> None:
    """A change that needs a new process and one that does not, the first of them under the cursor and approved."""
    app = pilot.app
    assert isinstance(app, DeployerApp)
    await see(pilot, "deployed")
    app.go("plan")
    await until(pilot, lambda: app.session.planned is not None)
    assert app.session.planned is not None
    made = datetime.fromisoformat(app.session.planned.plan.created_at)
    app.clock = lambda: made.timestamp() + 90
    await see(pilot, "chat/0")
    await pilot.press("j", "j", "space")
    await see(pilot, "[x]")
    app.screen.top()  # type: ignore[attr-defined]
    await pilot.pause()


async def wrong_files(pilot: Pilot[int]) -> None:
    app = pilot.app
    assert isinstance(app, DeployerApp)
    await see(pilot, "deployed")
    file = app.session.fleet.root / "deployments/chat.yaml"
    file.write_text(file.read_text().replace("tags:", "tagz:").replace("replicas: 1", "replicas: one"))
    app.plan_again()
    await see(pilot, "did you mean")
    await pilot.pause()


async def catalogue(pilot: Pilot[int]) -> None:
    """A new deployment, at its model: the list narrowed by what was typed, the cursor on an entry."""
    app = pilot.app
    assert isinstance(app, DeployerApp)
    await see(pilot, "deployed")
    app.new_deployment()
    await see(pilot, "hub repository")
    await pilot.press("left")
    await see(pilot, "PARAMETERS")
    await pilot.press("tab", *"qwen3-")
    await until(pilot, lambda: "bge-" not in shown(pilot), "the narrowed list")
    await see(pilot, "h1, h2")
    app.screen.query_one("#wizard-rows").focus()
    await see(pilot, "fits h1, h2")
    await pilot.pause()


async def help_panel(pilot: Pilot[int]) -> None:
    await see(pilot, "deployed")
    await pilot.press("question_mark")
    await see(pilot, "Keys: fleet")
    await pilot.pause()


def changed(root: Path) -> None:
    """Edits of the fleet's files, after an apply: what the plan is about."""
    file = root / "deployments/chat.yaml"
    file.write_text(
        file.read_text().replace("tags: [prod]", "tags: [prod]\ndescription: our assistant\nbatch: {max_size: 32}\nreplicas: 1")
    )


def portable(svg: str) -> str:
    """Without ids made from the text and without fonts from elsewhere."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    return re.sub(r"[ \t]+$", "", svg, flags=re.M)


def settled(svg: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"\b[0-9a-f]{7,}\b", lambda found: "0" * len(found[0]), portable(svg))


SCENES: dict[str, Scene] = {
    "fleet": fleet_place,
    "plan": plan_place,
    "wrong-files": wrong_files,
    "help": help_panel,
    "catalogue": catalogue,
}
