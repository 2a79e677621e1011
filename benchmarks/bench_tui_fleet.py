"""The fleet's place of the terminal UI with 30 hosts of 8 GPUs, where every GPU says something new every second: its share
of a core and the bytes it writes in a real terminal (a pty of 120x40), and its memory after an hour of such seconds.

BENCH_SECONDS=5 and BENCH_TICKS=300 make it shorter.
"""

import asyncio
import fcntl
import gc
import os
import pty
import random
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import PYTHON, ROOT, Row, at_most, finish, told

HOSTS, GPUS, DEPLOYMENTS = 30, 8, 18
COLUMNS, LINES = 120, 40
SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
TICKS = int(os.environ.get("BENCH_TICKS", "3600"))
WARM_S = 8.0
#: Different seconds that are played in turn.
FRAMES = 30


def app_of(root: Path, *, playing: bool):  # type: ignore[no-untyped-def]
    """The application over a fleet that is played. `playing`: by the clock; else by `session.turn()`."""
    from deployer.app.fleet import Fleet
    from deployer.app.looking import Figures, FleetNow
    from deployer.app.session import Session
    from deployer.tui.app import DeployerApp
    from tests.tui.fleets import deployment, fleet_now, gpu, host

    def frame(number: int) -> FleetNow:
        chance = random.Random(number)
        hosts = []
        for n in range(HOSTS):
            name = f"gpu-{n:02}"
            gpus = tuple(
                gpu(
                    name,
                    g,
                    used=chance.randrange(101),
                    tick=number * 7 + chance.randrange(50),
                    replica=f"model-{n % DEPLOYMENTS}/{g}",
                )
                for g in range(GPUS)
            )
            hosts.append(replace(host(name), gpus=gpus))
        figures = {
            f"model-{n}": Figures(chance.random() * 50, chance.random(), chance.random() * 2000, chance.random(), 3)
            for n in range(DEPLOYMENTS)
        }
        deployments = [deployment(f"model-{n}", "deployed", f"gpu-{n:02}:0", f"gpu-{n + 1:02}:1") for n in range(DEPLOYMENTS)]
        return fleet_now(hosts, deployments, **figures)

    class Played(Session):
        frames = [frame(number) for number in range(FRAMES)]
        turns = 0

        def watch(self, every_s: float = 1.0) -> None:
            """Nobody is asked."""

        def turn(self) -> None:
            self.turns += 1

        @property
        def now(self) -> FleetNow:
            turn = int(time.monotonic()) if playing else self.turns
            return replace(self.frames[turn % FRAMES], tick=turn + 1)

    return DeployerApp(Played(Fleet.load(root), read_only=True), tick_s=1.0 if playing else 3600.0)


def play(root: Path) -> int:
    return app_of(root, playing=True).run() or 0


def hour(root: Path) -> None:
    """Prints resident bytes and live objects: when warm, and after all ticks."""

    async def going() -> None:
        app = app_of(root, playing=False)
        async with app.run_test(size=(COLUMNS, LINES)) as pilot:
            for tick in range(TICKS + TICKS // 10):
                if tick == TICKS // 10:
                    said = _memory()
                app.session.turn()
                app.screen._tick()
                if tick % 12 == 0:
                    await pilot.press("tab")  # every change of focus draws the keys anew
                await pilot.pause(0)
            print(*said, *_memory(), file=sys.__stdout__)

    asyncio.run(going())


def _memory() -> tuple[int, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(gc.get_objects())


def in_terminal(root: Path) -> tuple[float, int]:
    """CPU seconds and bytes written of SECONDS under a real pty."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment.pop("NO_COLOR", None)
    command = [PYTHON, "-m", "benchmarks.bench_tui_fleet", "--play", str(root)]
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment, start_new_session=True)
    os.close(slave)
    try:
        _read(master, WARM_S / 2)
        os.write(master, b"vv")  # from a row per host over the map to a row per GPU, which writes most
        _read(master, WARM_S / 2)
        before = _cpu(child.pid)
        count = _read(master, SECONDS)
        return _cpu(child.pid) - before, count
    finally:
        os.write(master, b"q")
        _read(master, 2.0)
        if child.poll() is None:
            child.terminate()
        child.wait()
        os.close(master)


def _read(master: int, seconds: float) -> int:
    end, count = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            try:
                count += len(os.read(master, 1 << 16))
            except OSError:  # the other end is closed
                break
    return count


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(root: Path) -> list[Row]:
    seconds, count = in_terminal(root)
    command = [PYTHON, "-m", "benchmarks.bench_tui_fleet", "--hour", str(root)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split()
    warm, warm_objects, after, after_objects = (float(word) for word in said[-4:])
    size = f"{HOSTS} hosts x {GPUS} GPUs"
    full = COLUMNS * LINES / 1024
    return [
        at_most(f"{size} at 1 Hz: CPU", seconds, SECONDS, "one core all the time", 0.05),
        told(f"{size} at 1 Hz: written per second", count / SECONDS / 1024, full, "every cell once, no colour", "K"),
        at_most(f"memory after {TICKS} ticks", after / 1e6, warm / 1e6, f"after {TICKS // 10}", 1.05, "M"),
        at_most(
            f"live objects after {TICKS} ticks", after_objects / 1000, warm_objects / 1000, f"after {TICKS // 10}", 1.05, "k"
        ),
    ]


def main() -> int:
    if "--play" in sys.argv:
        return play(Path(sys.argv[-1]))
    if "--hour" in sys.argv:
        hour(Path(sys.argv[-1]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "deployer.yaml").write_text('id: "be7c4b3d"\nname: bench\n')
        return finish(measure(root))


if __name__ == "__main__":
    sys.exit(main())
