"""The pictures of docs/tui.md: the terminal UI over three real lab hosts that serve real requests. Used by script/pictures."""

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.lab import lab
from deployer.tui.app import DeployerApp
from tests.tui.conftest import see, until

ROOT = Path(__file__).parents[2]
QUESTIONS = ("Who are you?", "What can you do?", "Hello")
#: deployment → its host, a setting, and what people read of it
DEPLOYMENTS = {
    "chat": ("lab-1", 512, "answers questions of the team"),
    "mail": ("lab-2", 512, "drafts answers to mails"),
    "code": ("lab-3", 640, "completes code"),
}

Scene = Callable[[DeployerApp, Pilot[int]], Awaitable[None]]


def write(root: Path, name: str, length: int | None = None, description: str | None = None) -> None:
    host, usual, said = DEPLOYMENTS[name]
    (root / f"deployments/{name}.yaml").write_text(
        f"name: {name}\ndescription: {description or said}\nmodel: {{path: models/tiny-chat}}\nengine:\n  ctranslate2:\n"
        f"    device: cpu\n    quantization: float32\n    max_model_len: {length or usual}\nendpoint: {{open: true}}\n"
        f"placement: {{hosts: [{host}]}}\n"
    )


@contextlib.contextmanager
def fleet(root: Path) -> Iterator[Path]:
    """Three hosts, the first with two imaginary GPUs, and a deployment on each; gone afterwards."""
    (root / "deployments").mkdir(parents=True)
    (root / "deployer.yaml").write_text('id: "5ce4e5f1"\nname: acme\nenvironment: staging\ngateway: {insecure: true}\n')
    shutil.copytree(ROOT / "models/tiny-chat", root / "models/tiny-chat")
    try:
        lab.up(root, 1, gpus=2)
        lab.up(root, 3)
        for name in DEPLOYMENTS:
            write(root, name)
        with Fleet.load(root) as opened:
            opened.lock()
            assert opened.plan().apply(why="the first one").exit_code == 0
        yield root
    finally:
        lab.down(root)


@contextlib.contextmanager
def asked(root: Path) -> Iterator[None]:
    """Clients that ask all the time."""
    over = threading.Event()

    def asking(name: str) -> None:
        with Fleet.load(root) as opened:
            one = opened.deployment(name)
            while not over.is_set():
                for question in QUESTIONS:
                    with contextlib.suppress(Exception):
                        one.predict(question, max_tokens=48)
                over.wait(0.2)

    clients = [threading.Thread(target=asking, args=(name,)) for name in DEPLOYMENTS]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        over.set()
        for client in clients:
            client.join()


async def fleet_place(app: DeployerApp, pilot: Pilot[int]) -> None:
    await until(pilot, lambda: app.now.figures.get("chat") and app.now.figures["chat"].ttft_p95_s, limit_s=60)
    await until(pilot, lambda: all(len(gpu.history) > 25 for gpu in app.now.hosts["lab-1"].gpus), limit_s=90)


async def plan_place(app: DeployerApp, pilot: Pilot[int]) -> None:
    write(app.session.fleet.root, "chat", 768)
    write(app.session.fleet.root, "mail", 768)
    write(app.session.fleet.root, "code", description="completes and explains code")
    await pilot.press("2")
    await see(pilot, "max_model_len", 60)
    await pilot.press("g", "space", "j", "j")
    await see(pilot, "approved 1 of 3")


async def apply_place(app: DeployerApp, pilot: Pilot[int]) -> None:
    await plan_place(app, pilot)
    await pilot.press("right_square_bracket", "space", "A")
    await see(pilot, "2 replace on lab-1, lab-2")
    await pilot.press(*"acme", "enter")
    await see(pilot, "▶", 60)


async def playground(app: DeployerApp, pilot: Pilot[int]) -> None:
    await see(pilot, "deployed", 60)
    app.open_deployment("chat")
    await pilot.press("t")
    await see(pilot, "say something")
    await pilot.press(*"Who are you?", "enter")
    await see(pilot, "tokens/s", 60)
    await pilot.pause(3)  # the whole answer


async def logs(app: DeployerApp, pilot: Pilot[int]) -> None:
    await see(pilot, "deployed", 60)
    app.open_deployment("code")
    await pilot.press("l")
    await see(pilot, "serve: ready", 60)


async def wrong_files(app: DeployerApp, pilot: Pilot[int]) -> None:
    file = app.session.fleet.root / "deployments/chat.yaml"
    text = file.read_text()
    file.write_text(text.replace("max_model_len", "max_modl_len").replace("{open: true}", "{open: perhaps}"))
    app.plan_again()
    await see(pilot, "did you mean", 60)
    file.write_text(text)


#: name → its scene, columns, rows; in this order: what one leaves behind does not show in the next
SCENES: dict[str, tuple[Scene, int, int]] = {
    "fleet": (fleet_place, 116, 16),
    "logs": (logs, 116, 14),
    "playground": (playground, 100, 18),
    "wrong-files": (wrong_files, 100, 20),
    "plan": (plan_place, 116, 28),
    "apply": (apply_place, 116, 20),
}


def draw(root: Path, name: str) -> str:
    """The SVG of a scene."""
    scene, width, height = SCENES[name]
    drawn: list[str] = []

    async def running() -> None:
        with Fleet.load(root) as opened:
            app = DeployerApp(Session(opened))
            async with app.run_test(size=(width, height)) as pilot:
                await scene(app, pilot)
                await pilot.pause()
                drawn.append(app.export_screenshot(title="deployer ui"))
                operation = app.session.operation
                while operation is not None and not operation.over:
                    await pilot.pause(0.1)

    asyncio.run(running())
    return drawn[0]
