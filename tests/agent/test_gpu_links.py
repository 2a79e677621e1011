"""How GPUs are joined and cut up, as pynvml reads it from the lab's imaginary NVML, in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployer.lab.gpus import library

GPUS = """driver 590.44.01
cuda 13010
gpu 0 GPU-a 85899345920 0 0 9.0 0 NVIDIA H100 80GB HBM3
gpu 1 GPU-b 85899345920 0 0 9.0 0 NVIDIA H100 80GB HBM3
gpu 2 GPU-c 42949672960 1024 7 8.0 1 NVIDIA A100-SXM4-40GB
slice 2 0 MIG-x 5100273664 0 NVIDIA A100-SXM4-40GB MIG 1g.5gb
slice 2 3 MIG-y 20937965568 0 NVIDIA A100-SXM4-40GB
link 0 1 0
link 1 2 50
"""
READ = "import json; from deployer.agent.facts import nvml; print(json.dumps(nvml.read(None)))"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the imaginary NVML is compiled with gcc")
def test_links_and_slices_are_read_as_nvml_tells_them(tmp_path: Path) -> None:
    shutil.copy(library(), tmp_path / "libnvidia-ml.so.1")
    (tmp_path / "gpus").write_text(GPUS)
    env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "DEPLOYER_LAB_GPUS": str(tmp_path / "gpus")}
    done = subprocess.run([sys.executable, "-c", READ], env=env, capture_output=True, text=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen["gpu_error"] is None
    assert seen["gpu_links"] == [[0, 1, 0], [0, 2, 30], [1, 2, 50]]
    assert [(g["index"], g.get("slice"), g["uuid"], g["mig"]) for g in seen["gpus"]] == [
        (0, None, "GPU-a", False),
        (1, None, "GPU-b", False),
        (2, None, "GPU-c", True),
        (2, 0, "MIG-x", False),
        (2, 3, "MIG-y", False),
    ]
    small, large = seen["gpus"][3:]
    assert (small["name"], small["parent"], small["capability"]) == ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "GPU-c", "8.0")
    assert small["memory_total"] == 5100273664
    assert (large["name"], large["utilization"]) == ("NVIDIA A100-SXM4-40GB MIG", None), "a driver that names no profile"
