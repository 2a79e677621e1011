"""`deployer validate` of 1000 deployments, the whole process, against libyaml reading the same files and nothing else."""

import hashlib
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import DEPLOYER, PYTHON, finish, process, side_by_side, within

COUNT = 1000
READER = (
    "import pathlib, sys, yaml\n"
    "for file in pathlib.Path(sys.argv[1]).rglob('*.yaml'): yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)"
)
DEPLOYMENT = """\
name: {name}
description: Number {number} of many
tags: [bench, "group-{group}"]
model: {{repo: acme/model-{group}, revision: main, accept_license: apache-2.0}}
engine:
  vllm: {{max_model_len: 8192, tensor_parallel: 1, args: {{enable_prefix_caching: true}}}}
sampling: {{temperature: 0.7, top_p: 0.9, top_k: 40, max_tokens: 512}}
replicas: 2
placement: {{labels: {{gpu: h100}}, gpus: 1}}
resources: {{cpu: 8, memory: 64GiB}}
endpoint:
  timeout: 60s
  keys: [{{name: team-a, sha256: "{sha256}"}}]
rollout: {{strategy: auto, max_parallel: 1, min_healthy: 10s}}
"""


def write_fleet(root: Path) -> None:
    for folder in ("deployments", "hosts"):
        (root / folder).mkdir()
    (root / "deployer.yaml").write_text("id: 7f3a9c21\nname: bench\n")
    for number in range(20):
        name = f"gpu-{number}"
        (root / f"hosts/{name}.yaml").write_text(f"name: {name}\naddress: 192.0.2.{number + 1}\nlabels: {{gpu: h100}}\n")
    for number in range(COUNT):
        name = f"model-{number}"
        text = DEPLOYMENT.format(name=name, number=number, group=number % 20, sha256=hashlib.sha256(name.encode()).hexdigest())
        (root / f"deployments/{name}.yaml").write_text(text)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        write_fleet(Path(folder))
        ours, reading = side_by_side(5, process([DEPLOYER, "validate", "-C", folder]), process([PYTHON, "-c", READER, folder]))
    return finish([within(f"deployer validate, {COUNT} deployments", ours, 1.5, reading, "libyaml alone")])


if __name__ == "__main__":
    sys.exit(main())
