"""LoRA adapters from the YAML to a running engine, on simulated hosts with the real agent: brought, listed, changed without a
restart, rolled back, refused.
"""

import json
from pathlib import Path

import pytest

from deployer.transport.simulation.units import Unit
from tests.cli.conftest import relock
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]

WITH = "engine:\n  vllm: {variant: cpu}\nadapters:\n  - {name: sql, path: adapters/sql}\n"
SHAPE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16", "vocab_size": 1000, "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 512,
}  # fmt: skip


def adapter(root: Path, name: str, **config: object) -> None:
    folder = root / "adapters" / name
    folder.mkdir(parents=True)
    said = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "models/tiny", "target_modules": ["q_proj"], **config}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    (folder / "adapter_model.safetensors").write_bytes(name.encode() * 10)


@pytest.fixture
def chat(bench: Bench) -> Bench:
    for name in ("sql", "style"):
        adapter(bench.root, name)
    bench.edit("engine:\n  ctranslate2: {}\n", WITH)
    relock(bench.root)
    return bench


def engine(chat: Bench) -> Unit:
    (found,) = (u for h in chat.hosts.values() for n, u in h.machine.units.known.items() if "chat-0" in n and u.answers)
    return found


def served(chat: Bench) -> dict[str, str]:
    adapters = engine(chat).adapters
    assert adapters is not None
    assert all(any(h.path(path).is_dir() for h in chat.hosts.values()) for path in adapters.values()), "they lie there"
    return {name: path.split("/")[-2] for name, path in adapters.items()}


def test_another_list_reaches_the_running_engine_and_comes_back_with_a_rollback(chat: Bench) -> None:
    assert chat("apply", "--yes").code == 0
    assert served(chat) == {"sql": "local--sql"}
    began = engine(chat).invocation
    chat.edit(
        "  - {name: sql, path: adapters/sql}", "  - {name: style, path: adapters/style}\n  - {name: s2, path: adapters/sql}"
    )
    relock(chat.root)
    done = chat("apply", "--yes")
    assert done.code == 0, done.err
    assert served(chat) == {"style": "local--style", "s2": "local--sql"}
    assert engine(chat).invocation == began, "the same process"
    assert chat("plan", "--detailed-exitcode").code == 0
    assert chat("rollback", "chat", "--yes").code == 0
    assert served(chat) == {"sql": "local--sql"}
    assert engine(chat).invocation == began


def test_the_gateway_knows_adapters_as_models_of_the_deployment(chat: Bench) -> None:
    assert chat("apply", "--yes").code == 0
    (entries,) = (p for h in chat.hosts.values() for p in h.root.rglob("10-chat.entries"))
    assert [one["id"] for one in json.loads("[" + entries.read_text().partition(" ")[2] + "]")] == ["chat", "sql"]
    allowed = "".join(p.read_text() for h in chat.hosts.values() for p in h.root.rglob("10-chat.cfg"))
    assert "/v1/completions" in allowed
    assert "lora_adapter" not in allowed


def test_one_that_the_engine_refuses_leaves_the_old_list_and_says_why(chat: Bench) -> None:
    assert chat("apply", "--yes").code == 0
    adapter(chat.root, "broken")
    chat.edit("  - {name: sql, path: adapters/sql}", "  - {name: b, path: adapters/broken}")
    relock(chat.root)
    done = chat("apply", "--yes")
    assert done.code == 5
    assert "does not load the adapter b: LoRA rank 64 is greater than max_lora_rank 16." in done.err + done.out
    assert served(chat) == {"sql": "local--sql"}


@pytest.mark.parametrize(
    ("edit", "code", "said"),
    [
        ("engine:\n  ctranslate2: {}\nadapters:", 3, "the engine ctranslate2 has no adapters"),
        (
            "engine:\n  vllm: {variant: cpu, args: {max_lora_rank: '8'}}\nadapters:\n  - {name: big, path: adapters/big}",
            4,
            "rank 40",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_line(chat: Bench, edit: str, code: int, said: str) -> None:
    adapter(chat.root, "big", r=40)
    chat.edit("engine:\n  vllm: {variant: cpu}\nadapters:", edit)
    if code == 4:
        relock(chat.root)
    done = chat("plan")
    assert done.code == code
    assert said in done.out + done.err
    assert "deployments/chat.yaml:" in done.out + done.err


def test_a_fit_of_the_deployment_keeps_room_for_the_rank_of_its_adapters(chat: Bench) -> None:
    config = chat.root / "models/tiny/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **SHAPE}))
    header = json.dumps({"w": {"dtype": "BF16", "shape": [32], "data_offsets": [0, 64]}}).encode()
    (chat.root / "models/tiny/model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    room = []
    for rank in (8, 64):
        said = chat.root / "adapters/sql/adapter_config.json"
        said.write_text(json.dumps({**json.loads(said.read_text()), "r": rank}))
        relock(chat.root)
        room.append(chat.json("fit", "chat")["ways"][0]["terms"]["overhead"]["adapters"])
    assert room[1] == 4 * room[0] > 0, "vLLM keeps room for 16 at least"
