"""One lab host with its own small disk, on which cells of the matrix run. What a test does to it from outside: orders for the
hook, a full disk, a cut cable, a look at its files that needs no network. Used by matrix.py.
"""

import contextlib
import ctypes
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.agent import journal, wire
from deployer.app.fleet import Fleet
from deployer.lab import lab
from deployer.state.observed import Reached, Unreached
from tests.lab.commands import ROOT, until
from tests.lab.conftest import LabFleet
from tests.lab.faults import hook
from tests.lab.faults.operations import KEY

HERE = Path(__file__).parent
FLEET = "faulty"
DISK = "/var/lib/deployer"  # a file system of its own: records, runs, models, the agent
DISK_SIZE = "1g"
ASK_S = 0.2  # between two questions of a client
_NEWNET = 0x40000000


@dataclass
class Bench:
    """`host` of the lab below `root`; `files` is its file system as this machine sees it, also while its link is cut."""

    root: Path
    host: str
    disks: list[Path] = field(default_factory=list)

    @property
    def lab(self) -> LabFleet:
        return LabFleet(self.root)

    @property
    def files(self) -> Path:
        return self.lab.hosts[self.host].root

    @property
    def namespace(self) -> Path:
        address = self.lab.hosts[self.host].address
        return Path(f"/run/netns/dlab{address.split('.')[2]}-{self.host}")

    def path(self, path: str) -> Path:
        return self.files / path.lstrip("/")

    # what the hook is told

    def order(self, step: str, moment: str, act: str, **more: Any) -> None:
        folder = self.path(hook.FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        for old in (hook.REACHED, hook.GO):
            self.path(old).unlink(missing_ok=True)
        part = self.path(hook.ORDER + ".part")
        part.write_text(json.dumps({"step": step, "moment": moment, "act": act, **more}))
        part.rename(self.path(hook.ORDER))

    def reached(self) -> bool:
        return self.path(hook.REACHED).exists()

    def go(self) -> None:
        self.path(hook.GO).touch()

    def forget_orders(self) -> None:
        for name in (hook.ORDER, hook.REACHED):
            self.path(name).unlink(missing_ok=True)
        self.mend_engines()

    # what breaks

    def break_engine(self, unit: str, mode: str) -> None:
        folder = self.path(hook.FOLDER) / "engines"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / unit).write_text(mode)

    def mend_engines(self) -> None:
        shutil.rmtree(self.path(hook.FOLDER) / "engines", ignore_errors=True)

    def give_engines_their_fault(self) -> None:
        """Every engine environment on the host gets the module by which it can be made to fail."""
        for site in self.path(wire.ROOT_ENGINES).glob("*/lib/python3.*/site-packages"):
            shutil.copy(HERE / "engine_fault.py", site / "engine_fault.py")
            (site / "engine_fault.pth").write_text("import engine_fault\n")

    def fill_disk(self) -> None:
        with contextlib.suppress(OSError), self.path(DISK + "/filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"\1" * (1 << 20))
        with contextlib.suppress(OSError), self.path(DISK + "/filler.end").open("wb", buffering=0) as file:
            while True:
                file.write(b"\1" * 512)

    def empty_disk(self) -> None:
        for name in ("filler", "filler.end"):
            self.path(f"{DISK}/{name}").unlink(missing_ok=True)

    def spoil_blobs(self) -> int:
        """One bit of every blob that came is another one now; how many there are."""
        found = [p for p in self.path(wire.ROOT_BLOBS).iterdir() if p.is_file()]
        for blob in found:
            data = bytearray(blob.read_bytes())
            data[len(data) // 2] ^= 1
            blob.write_bytes(bytes(data))
        return len(found)

    # what can be seen from outside

    def runs(self) -> set[str]:
        folder = self.path(wire.ROOT_RUNS)
        return {p.name for p in folder.iterdir()} if folder.is_dir() else set()

    def journal(self, run: str) -> list[dict[str, Any]]:
        path = self.path(f"{wire.ROOT_RUNS}/{run}/journal.jsonl")
        return journal.lines(path.read_bytes())[0] if path.is_file() else []

    def request(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path(f"{wire.ROOT_RUNS}/{run}/request.json").read_text())
        return found

    def lives(self, run: str) -> bool:
        """Whether the run's process is there, asked of this machine's kernel."""
        word = run.encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    if word in words and (b"work" in words or b"recover" in words):
                        return True
        return False

    def look(self) -> Reached:
        """A probe, once the host lets us in: it may have come up, or its cable been put back, a moment ago."""
        with Fleet.load(self.root) as fleet:
            found: Reached = until(lambda: _reached(fleet.probe()[self.host]), "the host lets us in", 30)
        return found

    def standing(self, deployment: str) -> dict[str, str]:
        """What of a deployment would be there after a boot: its units, whether enabled, its files, its record."""
        found = {}
        units = self.path(wire.UNITS)
        for path in sorted(units.glob(f"deployer-{FLEET}-{deployment}-*.service")):
            found[f"unit {path.name}"] = _digest(path)
        for path in sorted(units.glob(f"multi-user.target.wants/deployer-{FLEET}-{deployment}-*.service")):
            found[f"enabled {path.name}"] = "yes"
        etc = self.path(f"{wire.ROOT_ETC}/{FLEET}")
        for path in sorted(p for p in etc.rglob("*") if p.is_file() and deployment in p.relative_to(etc).as_posix()):
            found[f"file {path.relative_to(etc)}"] = _digest(path)
        record = self.path(f"{wire.ROOT_STATE}/{FLEET}/{deployment}/current.json")
        found["record"] = _digest(record) if record.is_file() else "none"
        return found

    def half_made(self) -> list[str]:
        """Artifacts without a marker."""
        engines = [p for p in self.path(wire.ROOT_ENGINES).glob("*") if p.is_dir()]
        models = [p for p in self.path(wire.ROOT_MODELS).glob("*/*") if p.is_dir()]
        return [str(p.relative_to(self.files)) for p in (*engines, *models) if not (p / wire.MARKER).exists()]

    def named_artifacts(self) -> set[str]:
        """Artifacts that a unit of the fleet names."""
        text = ""
        for path in self.path(wire.UNITS).glob(f"deployer-{FLEET}-*.service"):
            text += path.read_text()
        for path in self.path(f"{wire.ROOT_ETC}/{FLEET}").rglob("*"):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                text += path.read_text() if path.is_file() else ""
        every = {*self.path(wire.ROOT_ENGINES).glob("*"), *self.path(wire.ROOT_MODELS).glob("*/*")}
        return {str(p.relative_to(self.files)) for p in every if f"/{p.relative_to(self.files)}" in text}

    def remove_artifacts(self, part: str) -> None:
        """Models whose name holds `part`: they must be made again."""
        for path in self.path(wire.ROOT_MODELS).glob("*/*"):
            if part in path.parent.name or (path / wire.MARKER).exists() and part in (path / wire.MARKER).read_text():
                shutil.rmtree(path)


def _reached(found: Reached | Unreached) -> Reached | None:
    return found if isinstance(found, Reached) else None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


class Watcher:
    """A client on the host itself, so that a cut link does not matter to it: asks one endpoint again and again."""

    def __init__(self, bench: Bench, name: str, port: int) -> None:
        self.name = name
        self.asked = 0
        self.failed: list[tuple[float, str]] = []  # when, why
        self._url = f"http://127.0.0.1:{port}/{name}/v1/chat/completions"
        self._namespace = bench.namespace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch-{name}", daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        enter(self._namespace)
        while not self._over.is_set():
            at = time.time()
            why = ask(self._url, self.name)
            self.asked += 1
            if why is not None:
                self.failed.append((at, why))
            self._over.wait(ASK_S)

    def refusal(self) -> str | None:
        """Why one question, asked from the host, has no answer; None when it has one."""
        found: list[str | None] = []

        def once() -> None:
            enter(self._namespace)
            found.append(ask(self._url, self.name))

        thread = threading.Thread(target=once)
        thread.start()
        thread.join()
        return found[0] if found else "it could not be asked"

    def answers(self) -> bool:
        return self.refusal() is None


def enter(namespace: Path) -> None:
    """This thread's sockets are the host's from now on."""
    with namespace.open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


def ask(url: str, model: str) -> str | None:
    """None when it answers, else why not."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2, "temperature": 0}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=8) as answer:
            found = json.loads(answer.read())
            return None if found.get("choices") else "an answer without a choice"
    except (OSError, ValueError, http.client.HTTPException) as error:  # the last: it was cut off in the middle
        return f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def bench(root: Path, *, keep: bool = False) -> Iterator[Bench]:
    """A lab of one host whose DISK is small; taken down afterwards unless it is to be kept."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "deployer.yaml").write_text(f"id: fa017a11\nname: {FLEET}\ngateway: {{insecure: true}}\n")
    lab.up(root, 1)
    made = Bench(root, "lab-1")
    disk = made.path(DISK)
    if not os.path.ismount(disk):
        lab.power_off(root, "lab-1")
        disk.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE},mode=755", "tmpfs", str(disk)], check=True)
        lab.power_on(root, "lab-1")
    until(lambda: made.lab.run("lab-1", ["true"], check=False).returncode == 0, "the host lets us in", 30)
    try:
        yield made
    finally:
        if not keep:
            lab.power_off(root, "lab-1")
            subprocess.run(["umount", "--lazy", str(disk)], check=False)
            lab.down(root)


def add_models(root: Path) -> None:
    """The tiny model twice: what differs is a file that nobody reads, so each is an artifact of its own."""
    for name in ("tiny-a", "tiny-b"):
        target = root / "models" / name
        if not target.exists():
            shutil.copytree(ROOT / "models" / "tiny-chat", target)
            (target / "README.md").write_text(f"{name}\n")
