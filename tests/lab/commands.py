"""The command line as a person runs it, against lab hosts: one process per command, its exit code and output."""

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.app.fleet import Fleet
from deployer.plan.world import Options
from tests.lab.conftest import LabFleet
from tests.lab.load import Load, load

ROOT = Path(__file__).parent.parent.parent
REFERENCES = json.loads((ROOT / "tests" / "serve" / "references.json").read_text())


@dataclass(frozen=True)
class Deployer:
    """`deployer … -C root`. `env` is added to the process's environment."""

    lab: LabFleet
    env: tuple[tuple[str, str], ...] = ()

    @property
    def root(self) -> Path:
        return self.lab.root

    def argv(self, words: Sequence[str]) -> list[str]:
        code = "import sys; from deployer.cli.main import main; sys.exit(main())"
        return [sys.executable, "-c", code, *words, "-C", str(self.root)]

    def environment(self) -> dict[str, str]:
        import os

        return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **dict(self.env)}

    def __call__(self, *words: str, exit_code: int | None = 0, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(words),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            check=False,
        )
        said = f"deployer {' '.join(words)}: exit {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        assert exit_code is None or done.returncode == exit_code, said
        return done

    def json(self, *words: str, exit_code: int | None = 0) -> Any:
        return json.loads(self(*words, "--json", exit_code=exit_code).stdout)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """In the background, its output to be read by the caller."""
        return subprocess.Popen(
            self.argv(words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
        )


def write_deployment(root: Path, name: str, text: str) -> Path:
    path = root / "deployments" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"name: {name}\n{text}")
    return path


def write_settings(root: Path) -> None:
    """deployer.yaml as the tests of deployments want it."""
    settings = "id: 1abf1ee7\nname: labtests\ngateway: {insecure: true}\ndefaults: {rollout: {min_healthy: 0s}}\n"
    (root / "deployer.yaml").write_text(settings)


def borrow_hosts(lab: LabFleet, root: Path, names: Sequence[str]) -> None:
    """Hosts of the lab in the files of another fleet, for plans that have nothing to do with what other tests left."""
    (root / "hosts").mkdir(exist_ok=True)
    for name in names:
        text = (lab.root / f"hosts/{name}.yaml").read_text()
        (root / f"hosts/{name}.yaml").write_text(text.replace("identity_file: ", f"identity_file: {lab.root}/"))


def tiny_chat(host: str, length: int = 512) -> str:
    """A deployment of the tiny model on one host; another `length` of context is another process."""
    return f"""\
model: {{path: models/tiny-chat}}
engine: {{ctranslate2: {{quantization: float32, max_model_len: {length}}}}}
endpoint: {{open: true}}
placement: {{hosts: [{host}]}}
"""


def lean_chat(host: str, length: int) -> str:
    """On a small machine two engines that each take all cores stand in each other's way."""
    return tiny_chat(host, length).replace("quantization: float32", "quantization: float32, intra_threads: 1")


def written(lab: LabFleet, texts: Mapping[str, str]) -> Deployer:
    """A fleet of the lab's hosts and these deployments, nothing of it locked or applied yet."""
    write_settings(lab.root)
    add_model(lab.root)
    for name, text in texts.items():
        write_deployment(lab.root, name, text)
    return Deployer(lab)


@contextmanager
def deployed(lab: LabFleet, texts: Mapping[str, str]) -> Iterator[Deployer]:
    """These deployments are locked and applied, and taken off the hosts when the block ends."""
    run = written(lab, texts)
    run("lock")
    run("apply", "--yes")
    yield run
    forget(lab, *texts)


@contextmanager
def as_gateway(lab: LabFleet, host: str) -> Iterator[None]:
    """The host's file says that it carries endpoints, until the block ends."""
    file = lab.root / f"hosts/{host}.yaml"
    plain = file.read_text()
    file.write_text(plain + "gateway: true\n")
    try:
        yield
    finally:
        file.write_text(plain)


def forget(lab: LabFleet, *names: str) -> None:
    """Takes deployments off the hosts. Their artifacts stay: other tests use them."""
    for name in names:
        (lab.root / f"deployments/{name}.yaml").unlink()
    with Fleet.load(lab.root) as fleet:
        assert fleet.plan(Options(prune_approved=names)).apply().exit_code == 0


def add_model(root: Path, name: str = "tiny-chat") -> None:
    target = root / "models" / name
    if not target.exists():
        shutil.copytree(ROOT / "models" / "tiny-chat", target)


def post(url: str, body: dict[str, Any], key: str | None = None) -> tuple[int, dict[str, Any]]:
    """(status, JSON answer); an error's body counts too."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")


def question(name: str, reference: dict[str, Any]) -> dict[str, Any]:
    """The request that the reference answers."""
    return {"model": name, "messages": reference["messages"], "max_tokens": reference["max_tokens"], "temperature": 0}


def ask(
    deployer: Deployer, name: str, reference: dict[str, Any], key: str | None = None, **more: Any
) -> tuple[int, dict[str, Any]]:
    """Asks a deployment what the reference was asked, through its endpoint; `more` goes into the request."""
    url = deployer.json("endpoint", name)["url"]
    return post(f"{url}/chat/completions", {**question(name, reference), **more}, key)


def text_of(answer: dict[str, Any]) -> str:
    """The text of an answer."""
    return str(answer["choices"][0]["message"]["content"])


def until(condition: Callable[[], Any], why: str, deadline_s: float = 120) -> Any:
    """Asks until it is true; fails by name when it never is."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"never happened within {deadline_s} s: {why}")


#: Requests that succeed before a change begins, and after it has ended.
BEFORE_AND_AFTER = 60


@contextmanager
def asked(deployer: Deployer, name: str) -> Iterator[Load]:
    """Clients of all kinds ask the deployment, before, while and after the block's change is made."""
    url = deployer.json("endpoint", name)["url"]
    with load(url, model=name, clients=6, first=BEFORE_AND_AFTER, pause_s=0.02, stream_tokens=12) as running:
        yield running
        running.wait_for(BEFORE_AND_AFTER)
    print(f"{name}: {running.result}")
