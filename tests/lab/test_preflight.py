"""Each finding of docs/preflight.md provoked on a real host: `plan` and `doctor` say it with its host and its line, and after the
remedy it is gone. Plans of a fleet of its own are made, on one host of the lab; nothing is applied.
"""

import contextlib
import io
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployer.cli.main import main
from deployer.lab.gpus import GPUS_FILE
from deployer.lab.places import lab_key, read_record
from tests.cli.conftest import TARGET, relock
from tests.gguffile import write_gguf
from tests.hub import LocalHub
from tests.lab.commands import ROOT, Deployer, add_model, borrow_hosts, until, write_deployment
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

HOST = "lab-1"
HOST_FILE, DEPLOYMENT = f"hosts/{HOST}.yaml", "deployments/chat.yaml"
PLACED = f"endpoint: {{open: true}}\nplacement: {{hosts: [{HOST}]}}\n"
#: A gateway where none of another fleet listens.
PORT = 29443
SETTINGS = f"id: be7be7be\nname: bent\ngateway: {{insecure: true, port: {PORT}, metrics: {{port: 29404}}}}\n"
FOLDER = "model: {path: models/tiny-chat}\n"
CPU = f"{FOLDER}engine: {{ctranslate2: {{quantization: float32}}}}\n{PLACED}"
CUDA = f"{FOLDER}engine: {{vllm: {{version: 0.33.0, requirements: [nvidia-cuda-runtime==13.0.96]}}}}\n{PLACED}"
FP8 = f"{FOLDER}engine: {{vllm: {{version: 0.33.0, quantization: fp8}}}}\n{PLACED}"
BFLOAT16 = f"{FOLDER}engine: {{ctranslate2: {{device: cuda, compute_type: bfloat16}}}}\n{PLACED}"
GGUF = "model: {path: models/tiny-gguf, file: tiny.gguf}\nengine: {llamacpp: {program: /usr/bin/true, device: DEVICE}}\n" + PLACED
ON_CPU = GGUF.replace("DEVICE", "cpu, max_model_len: 512")
WIDE = GGUF.replace("DEVICE", "cuda, max_model_len: 1024") + "batch: {max_size: 20000}\n"
GATED = "model: {repo: org/big, accept_license: tiny-licence, token: {env: HF_TOKEN}}\nengine: {ctranslate2: {}}\n" + PLACED
TEXTS = (CPU, CUDA, FP8, BFLOAT16, ON_CPU, WIDE, GATED)
SMALL = "/mnt/small"
KERNEL = os.uname().release
NEWER = TARGET.replace("3.11", "3.12")
NOWHERE = 9  # a port on which nobody listens


@dataclass
class Bent:
    """The host, and a fleet that has only it. `plain` is what its file and those of the host said before."""

    lab: LabFleet
    root: Path
    hub: LocalHub
    gpus: str = ""
    host_file: str = ""
    site: str = ""

    def path(self, path: str) -> Path:
        """A file of the host, as this machine sees it."""
        return self.lab.hosts[HOST].root / path.lstrip("/")

    def run(self, *argv: str) -> str:
        return self.lab.run(HOST, list(argv)).stdout

    def said(self, *words: str) -> Any:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            main([*words, "--json", "-C", str(self.root)])
        return json.loads(out.getvalue())

    def found(self, *words: str) -> list[dict[str, Any]]:
        return list(self.said(*words)["findings"])

    def deploy(self, text: str) -> None:
        write_deployment(self.root, "chat", text)

    def write_host(self, more: str) -> None:
        (self.root / HOST_FILE).write_text(self.host_file + more)

    def write_gpus(self, text: str) -> None:
        self.path(GPUS_FILE).write_text(text)

    def mount(self, path: str, text: str) -> None:
        """Puts another content over a file of /proc."""
        self.path("/srv/bent").write_text(text)
        self.run("mount", "--bind", "/srv/bent", path)


@pytest.fixture(scope="module")
def bent(lab_fleet: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bent]:
    root, record = tmp_path_factory.mktemp("bent"), read_record(lab_key(lab_fleet.root))
    assert record is not None
    with LocalHub(tmp_path_factory.mktemp("hub"), host=f"10.87.{record.network}.1") as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", hub.options.token)
        made = Bent(lab_fleet, root, hub)
        made.gpus, made.site = made.path(GPUS_FILE).read_text(), site(made).read_text()
        borrow_hosts(lab_fleet, root, [HOST])
        made.host_file = (root / HOST_FILE).read_text()
        write_fleet(made, tmp_path_factory)
        yield made


def write_fleet(bent: Bent, folders: pytest.TempPathFactory) -> None:
    """Its lock has what each of TEXTS wants. Environments are not resolved: nothing is built from them."""
    model = ROOT / "models" / "tiny-chat"
    bent.hub.add("org/big", {p.name: p.read_bytes() for p in model.iterdir() if p.name != "README.md"})
    bent.hub.add("org/big", {"README.md": "---\nlicense: tiny-licence\n---\n"})
    bent.hub.options.gated = {"org/big"}
    (bent.root / "deployer.yaml").write_text(SETTINGS)
    add_model(bent.root)
    (bent.root / "models/tiny-chat/README.md").write_text("Of this fleet alone: no host has it converted already.\n")
    (bent.root / "models/tiny-gguf").mkdir()
    write_gguf(bent.root / "models/tiny-gguf/tiny.gguf")
    files = [write_deployment(bent.root, f"chat-{number}", text) for number, text in enumerate(TEXTS)]
    relock(bent.root)
    env = {"HF_ENDPOINT": bent.hub.url, "HF_HOME": str(folders.mktemp("hf-home"))}
    Deployer(LabFleet(bent.root), tuple(env.items()))("lock")
    for file in files:
        file.unlink()


# what is done to the host, and what mends it

Act = Callable[[Bent], object]


def gpus(*edits: tuple[str, str]) -> Act:
    def act(bent: Bent) -> None:
        text = bent.gpus
        for pattern, instead in edits:
            text, times = re.subn(pattern, instead, text, flags=re.M)
            assert times, pattern
        bent.write_gpus(text)

    return act


def capability(number: str) -> Act:
    return gpus((r"^(gpu \d+ \S+ \d+ \d+ \d+) \S+", rf"\1 {number}"))


def driver_loaded(version: str, *kernels: str) -> Act:
    """As an NVIDIA driver shows that it is loaded, its library named as its package names it, and kernels with their modules."""

    def act(bent: Bent) -> None:
        library = bent.path(f"/usr/lib/{platform.machine()}-linux-gnu/libnvidia-ml.so.1")
        library.rename(library.with_name("libnvidia-ml.so.590.44.01"))
        library.symlink_to("libnvidia-ml.so.590.44.01")
        bent.run("mount", "-t", "tmpfs", "tmpfs", "/proc/driver")
        reload_driver(bent, version)
        install_kernels(bent, *kernels)

    return act


def reload_driver(bent: Bent, version: str) -> None:
    line = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Sat May 24 07:15:22 UTC 2026"
    bent.run("sh", "-c", f"mkdir -p /proc/driver/nvidia && echo '{line}' > /proc/driver/nvidia/version")


def unload_driver(bent: Bent) -> None:
    library = bent.path(f"/usr/lib/{platform.machine()}-linux-gnu/libnvidia-ml.so.1")
    library.with_name("libnvidia-ml.so.590.44.01").rename(library)
    bent.run("umount", "/proc/driver")
    remove_kernels(bent)


def install_kernels(bent: Bent, *names: str) -> None:
    for name in names:
        folder = bent.path(f"/lib/modules/{name}")
        folder.mkdir(parents=True)
        (folder / "modules.dep").touch()


def remove_kernels(bent: Bent) -> None:
    bent.run("rm", "-rf", "/lib/modules")


def build_module(bent: Bent) -> None:
    folder = bent.path("/lib/modules/99.0.0-1/updates/dkms")
    folder.mkdir(parents=True)
    (folder / "nvidia.ko.xz").touch()


def clock(seconds: int) -> Act:
    """Hosts of a lab share this machine's clock, which is not ours to set: every Python of the host reads another one."""
    return lambda bent: site(bent).write_text(f"import time\n_now = time.time\ntime.time = lambda: _now() + {seconds}\n")


def set_clock(bent: Bent) -> None:
    site(bent).write_text(bent.site)


def site(bent: Bent) -> Path:
    (found,) = bent.path("/etc").glob("python3.*/sitecustomize.py")
    return found


def small_disk(size: str) -> Act:
    def act(bent: Bent) -> None:
        bent.run("mkdir", "-p", SMALL)
        bent.run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", SMALL)
        bent.write_host(f"paths: {{models: {SMALL}/models}}\n")

    return act


def no_small_disk(bent: Bent) -> None:
    bent.run("umount", SMALL)
    bent.write_host("")


def squat(bent: Bent) -> None:
    bent.run("systemd-run", "--unit=squatter", "python3", "-m", "http.server", str(PORT), "--bind", "127.0.0.1")
    until(lambda: bent.run("ss", "-Hltn", f"sport = :{PORT}"), "the squatter listens")


def lock_for(before: str, after: str) -> Act:
    """Everything is locked for another Python."""

    def act(bent: Bent) -> None:
        lock = bent.root / "deployer.lock"
        text, names = lock.read_text(), (before.replace("/", "-"), after.replace("/", "-"))
        lock.write_text(text.replace(before, after).replace(*names))
        (bent.root / "deployer.yaml").write_text(f"{SETTINGS}packages: {{targets: [{after}]}}\n")
        for file in (bent.root / "locks").iterdir():
            file.rename(file.with_name(file.name.replace(*names)))

    return act


def install_python(bent: Bent) -> None:
    bent.path("/usr/local/bin/python3.12").symlink_to("/usr/bin/python3")


def remove_python(bent: Bent) -> None:
    bent.path("/usr/local/bin/python3.12").unlink()
    lock_for(NEWER, TARGET)(bent)


def hide_lock(bent: Bent) -> None:
    (bent.root / "deployer.lock").rename(bent.root / "hidden.lock")


def show_lock(bent: Bent) -> None:
    (bent.root / "hidden.lock").rename(bent.root / "deployer.lock")


def hub_token(token: str) -> Act:
    def act(bent: Bent) -> None:
        bent.write_host(f"hub_url: {bent.hub.url}\n")
        bent.hub.options.token = token

    return act


def nothing(_: Bent) -> None:
    """The remedy is all that there is to put back."""


@dataclass(frozen=True)
class Case:
    """`remedy` is what the finding says to do, `back` what makes the host what it was. `by`: the doctor alone when it asks."""

    id: str
    severity: str
    words: str
    text: str
    provoke: Act
    remedy: Act
    back: Act = nothing
    place: str | None = HOST_FILE
    by: Sequence[str] = ("plan", "doctor --quick")
    host: str | None = HOST


ASKING = ("doctor",)
CASES = (
    Case(
        "cuda",
        "refuse",
        "chat is pinned for CUDA 13.0 (nvidia-cuda-runtime); the driver 575.57.08 of lab-1 goes up to 12.9",
        CUDA,
        gpus((r"^driver .*", "driver 575.57.08"), (r"^cuda .*", "cuda 12090")),
        gpus(),
        place=DEPLOYMENT,
    ),
    Case("cuda-gpu", "refuse", "which has no code for", CUDA, capability("7.0"), gpus(), place=DEPLOYMENT),
    Case("gpu", "refuse", "fp8", FP8, capability("7.0"), gpus(), place=DEPLOYMENT),
    Case("compute-type", "refuse", "cannot compute in bfloat16", BFLOAT16, capability("7.0"), gpus(), place=DEPLOYMENT),
    Case("driver", "refuse", "chat/0 has no host to stand on", CUDA, gpus((r"\Z", "init-error 9\n")), gpus(), place=DEPLOYMENT),
    Case(
        "reboot",
        "refuse",
        "the NVIDIA driver of lab-1 was updated to 590.44.01 and 575.57.08 is still loaded (last reboot ",
        CUDA,
        driver_loaded("575.57.08"),
        lambda bent: reload_driver(bent, "590.44.01"),
        unload_driver,
    ),
    Case(
        "reboot",
        "warn",
        "lab-1 boots kernel 99.0.0-1 next, and that one has no NVIDIA module",
        CUDA,
        driver_loaded("590.44.01", KERNEL, "99.0.0-1"),
        build_module,
        unload_driver,
    ),
    Case(
        "reboot",
        "warn",
        f"the modules of the kernel that lab-1 runs ({KERNEL}) were removed (last reboot ",
        CPU,
        lambda bent: install_kernels(bent, "99.0.0-1"),
        remove_kernels,
    ),
    Case("disk", "refuse", f"not enough disk on lab-1 for {SMALL}/models", ON_CPU, small_disk("64m"), no_small_disk),
    Case("disk", "warn", f"{SMALL}/models of lab-1 has 400.0 MiB left", CPU, small_disk("400m"), no_small_disk),
    Case(
        "conversion",
        "refuse",
        f"model and result take about .* in {SMALL}/models, 64.0 MiB is free",
        CPU,
        small_disk("64m"),
        no_small_disk,
        place=DEPLOYMENT,
    ),
    Case(
        "conversion",
        "refuse",
        "of memory, 2.0 MiB is free",
        CPU,
        lambda bent: bent.mount("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 2048 kB\n"),
        lambda bent: bent.run("umount", "/proc/meminfo"),
        place=DEPLOYMENT,
    ),
    Case(
        "memory",
        "warn",
        "the weights of chat are .*, and lab-1 has 100.0 KiB of memory",
        ON_CPU,
        lambda bent: bent.mount("/proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 100 kB\n"),
        lambda bent: bent.run("umount", "/proc/meminfo"),
        place=DEPLOYMENT,
    ),
    Case(
        "memory",
        "warn",
        "chat/0 may take 900.0 TiB of memory together, and lab-1 has ",
        CPU,
        lambda bent: bent.deploy(CPU + "resources: {memory: 900TiB}\n"),
        lambda bent: bent.deploy(CPU + "resources: {memory: 1GiB}\n"),
        place=DEPLOYMENT,
    ),
    Case(
        "fit",
        "refuse",
        r"chat does not fit on lab-1 GPU \d \(24 GiB\)",
        WIDE,
        nothing,
        gpus((r"^(gpu \d+ \S+) \d+", rf"\1 {200 << 30}")),
        gpus(),
        place=DEPLOYMENT,
    ),
    Case(
        "port",
        "refuse",
        f"port {PORT} of lab-1 is in use by a program that is not ours",
        CPU,
        squat,
        lambda bent: bent.run("systemctl", "stop", "squatter"),
        place="deployer.yaml",
    ),
    Case("target", "refuse", "fits lab-1", CPU, lock_for(TARGET, NEWER), install_python, remove_python, place=DEPLOYMENT),
    Case(
        "systemd",
        "refuse",
        "lab-1 has systemd 245; 247 or newer is wanted",
        CPU,
        lambda bent: bent.path("/usr/lib/systemd/libsystemd-shared-245.so").touch(),
        lambda bent: bent.path("/usr/lib/systemd/libsystemd-shared-245.so").unlink(),
    ),
    Case("clock", "warn", "the clock of lab-1 is 2 min ahead of this machine's", CPU, clock(125), set_clock),
    Case(
        "licence",
        "refuse",
        "chat: the model org/big asks for its licence to be accepted",
        GATED,
        lambda bent: bent.deploy(GATED.replace(" accept_license: tiny-licence,", "")),
        lambda bent: bent.deploy(GATED),
        place=DEPLOYMENT,
        host=None,
    ),
    Case(
        "token",
        "refuse",
        "chat: org/big is gated, and no token is named for it",
        GATED,
        lambda bent: bent.deploy(GATED.replace(", token: {env: HF_TOKEN}", "")),
        lambda bent: bent.deploy(GATED),
        place=DEPLOYMENT,
    ),
    Case(
        "token",
        "refuse",
        "does not give org/big to lab-1 with the token env:HF_TOKEN (it answers 401)",
        GATED,
        hub_token("hf_another"),
        hub_token("hf_test"),
        lambda bent: bent.write_host(""),
        place=DEPLOYMENT,
        by=ASKING,
    ),
    Case(
        "hub",
        "refuse",
        "lab-1 does not reach the hub http://",
        GATED,
        lambda bent: bent.write_host(f"hub_url: http://{bent.hub.host}:{NOWHERE}\n"),
        lambda bent: bent.write_host(f"hub_url: {bent.hub.url}\n"),
        lambda bent: bent.write_host(""),
        place=DEPLOYMENT,
        by=ASKING,
    ),
    Case(
        "index",
        "refuse",
        "lab-1 does not reach the index http://",
        CPU,
        lambda bent: bent.write_host(f"index_url: http://{bent.hub.host}:{NOWHERE}/simple\n"),
        lambda bent: bent.write_host(""),
        by=ASKING,
    ),
    Case("lock", "refuse", "there is no deployer.lock", CPU, hide_lock, show_lock, place=None, by=("doctor --quick",), host=None),
)
#: Ids of the table that no lab host can show, and why.
NOT_HERE = {"options": "wants a vLLM on the host, which costs minutes: tests/cli/test_engine_check.py, on simulated hosts"}


def of(bent: Bent, case: Case, words: str) -> list[dict[str, Any]]:
    """The findings of the case's kind that say its words."""
    pattern = case.words if ".*" in case.words or "\\" in case.words else re.escape(case.words)
    found = bent.found(*words.split())
    return [f for f in found if (f["id"], f["severity"]) == (case.id, case.severity) and re.search(pattern, f["what"])]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.id}-{case.words[:24]}")
def test_a_finding_is_seen_with_its_host_and_its_line_and_gone_after_its_remedy(bent: Bent, case: Case) -> None:
    bent.deploy(case.text)
    case.provoke(bent)
    try:
        for words in case.by:
            seen = of(bent, case, words)
            assert seen, (words, bent.found(*words.split()))
            assert {f["host"] for f in seen} == {case.host}
            assert {(f["source"] or {}).get("file") for f in seen} == {case.place}
            assert all(f["why"] and f["do"] for f in seen)
    finally:
        case.remedy(bent)
    try:
        assert of(bent, case, case.by[-1]) == []
    finally:
        case.back(bent)


def test_every_finding_of_the_table_is_provoked_here() -> None:
    table = re.findall(r"^\| (`.+?`) \|", (ROOT / "docs/preflight.md").read_text(), re.M)
    ids = {name for row in table for name in re.findall(r"`([a-z-]+)`", row)}
    assert len(ids) > 15
    assert ids == {case.id for case in CASES} | set(NOT_HERE)
