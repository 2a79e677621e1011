"""Imaginary GPUs: a library with NVML's name that reads its GPUs from a file of the host. Called by `lab.lab`.

`/etc/deployer-lab/gpus` holds one thing per line (sizes in bytes); tests and curious people edit it while the host runs:

    driver 590.44.01
    cuda 13010
    gpu INDEX UUID MEMORY_TOTAL MEMORY_USED UTILIZATION CAPABILITY MIG NAME…
    slice INDEX NUMBER UUID MEMORY_TOTAL MEMORY_USED NAME…    (of a GPU whose MIG is 1)
    link INDEX INDEX WAY                                      (0 is NVLink, else NVML's level: 10 near … 50 far; not said: 30)
    process INDEX PID MEMORY
    init-error 9
"""

import hashlib
import platform
import uuid
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from deployer.lab.places import GIB, cache_home, locked
from deployer.lab.shell import run
from deployer.lab.writing import write

GPUS_FILE = "etc/deployer-lab/gpus"
DRIVER = "590.44.01"
CUDA = 13010


@dataclass(frozen=True, slots=True)
class LabGpu:
    """One line of the file. Memory in bytes, utilization in percent."""

    index: int
    uuid: str
    memory_total: int
    memory_used: int = 0
    utilization: int = 0
    capability: str = "9.0"
    mig: bool = False
    name: str = "Lab GPU"

    def line(self) -> str:
        numbers = f"{self.memory_total} {self.memory_used} {self.utilization} {self.capability} {int(self.mig)}"
        return f"gpu {self.index} {self.uuid} {numbers} {self.name}"


def new_gpus(count: int, memory: int) -> list[LabGpu]:
    """`count` GPUs that nobody else has."""
    name = f"Lab GPU {memory / GIB:g}GiB"
    return [LabGpu(index, f"GPU-{uuid.uuid4()}", memory, name=name) for index in range(count)]


def gpus_text(gpus: list[LabGpu]) -> str:
    return "\n".join([f"driver {DRIVER}", f"cuda {CUDA}", *(gpu.line() for gpu in gpus)]) + "\n"


def install(root: Path, gpus: list[LabGpu]) -> None:
    """Puts the GPUs' file and the library into the host at `root`, where ldconfig finds it."""
    write(root / GPUS_FILE, gpus_text(gpus))
    target = root / f"usr/lib/{platform.machine()}-linux-gnu/libnvidia-ml.so.1"
    target.unlink(missing_ok=True)
    target.write_bytes(library().read_bytes())
    run(["chroot", str(root), "/sbin/ldconfig"])


def library() -> Path:
    """The compiled library, made once per version of its source. Needs gcc only the first time."""
    source = resources.files("deployer.lab").joinpath("mock_nvml.c").read_text()
    built = cache_home() / f"nvml-{hashlib.sha256(source.encode()).hexdigest()[:12]}.so"
    if built.is_file():
        return built
    with locked(built.with_suffix(".lock")):
        part = built.with_suffix(".part")
        flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
        run(["gcc", *flags, "-x", "c", "-", "-o", str(part)], stdin=source)
        part.rename(built)
    return built


def is_compiled() -> bool:
    """Whether the library is there already, so that no compiler is needed."""
    return any(cache_home().glob("nvml-*.so")) and library().is_file()
