"""LoRA adapters of a real vLLM on a host: reached by their names, changed without a restart, unreachable but for inference."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from openai import NotFoundError, OpenAI

from tests.lab.commands import Deployer, written
from tests.lab.conftest import LabFleet
from tests.lab.test_engines import VLLM
from tests.safetensorsfile import write_safetensors

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

MODEL = Path(__file__).parents[2] / "models" / "tiny-chat"
NAME = "adapted"


def make(folder: Path, seed: int, rank: int = 8) -> None:
    """An adapter that says something else than the model: random, and of plain safetensors."""
    config = json.loads((MODEL / "config.json").read_text())
    hidden, keys = config["hidden_size"], config["num_key_value_heads"] * config["head_dim"]
    numbers, weights = np.random.default_rng(seed), {}
    for layer in range(config["num_hidden_layers"]):
        for module, width in (("q_proj", hidden), ("v_proj", keys)):
            for half, shape in (("lora_A", (rank, hidden)), ("lora_B", (width, rank))):
                name = f"base_model.model.model.layers.{layer}.self_attn.{module}.{half}.weight"
                weights[name] = numbers.normal(size=shape).astype("<f4")
    folder.mkdir(parents=True)
    write_safetensors(folder / "adapter_model.safetensors", weights)
    peft = {"peft_type": "LORA", "base_model_name_or_path": "models/tiny-chat", "r": rank, "lora_alpha": rank, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps({**peft, "target_modules": ["q_proj", "v_proj"]}))


@pytest.fixture(scope="module")
def run(lab_fleet: LabFleet) -> Iterator[Deployer]:
    make(lab_fleet.root / "adapters" / "sql", 1)
    make(lab_fleet.root / "adapters" / "style", 2)
    found = written(lab_fleet, {NAME: f"{VLLM}adapters: [{{name: sql, path: adapters/sql}}]\n"})
    found("lock")
    found("apply", "--yes", timeout=840)
    yield found
    (lab_fleet.root / "deployments" / f"{NAME}.yaml").unlink()
    found("prune", "--yes")


def test_another_list_of_adapters_restarts_nothing(run: Deployer) -> None:
    url = run.json("endpoint", NAME)["url"]
    with OpenAI(base_url=url, api_key="none", max_retries=0) as client:

        def said(model: str) -> str:
            asked = client.completions.create(model=model, prompt="The capital of France", max_tokens=12, temperature=0)
            return asked.choices[0].text

        plain, adapted = said(NAME), said("sql")
        assert plain != adapted
        began = run.json("status", NAME)["deployments"][0]["replicas"][0]["since"]
        path = run.root / "deployments" / f"{NAME}.yaml"
        path.write_text(path.read_text().replace("{name: sql, path: adapters/sql}", "{name: style, path: adapters/style}"))
        run("lock")
        run("apply", "--yes")
        assert said("style") not in (plain, adapted)
        assert said(NAME) == plain
        with pytest.raises(NotFoundError):
            said("sql")
        assert [m.id for m in client.models.list()] == [NAME, "style"]
        assert run.json("status", NAME)["deployments"][0]["replicas"][0]["since"] == began
        for verb in ("load", "unload"):
            with pytest.raises(NotFoundError):
                client.post(f"/{verb}_lora_adapter", cast_to=object, body={"lora_name": "style", "lora_path": "/"})
