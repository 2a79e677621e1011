import json
from pathlib import Path

import pytest

from deployer.errors import LockfileError
from deployer.lock.adapterfacts import adapter_facts
from deployer.lock.document import Document, decode, encode
from deployer.lock.folder import digest_folder
from deployer.state.locked import AdapterFacts, Locked

PEFT = {
    "peft_type": "LORA",
    "base_model_name_or_path": "models/tiny-chat",
    "r": 8,
    "rank_pattern": {"layers.0.self_attn.q_proj": 12},
    "target_modules": ["v_proj", "q_proj"],
    "bias": "none",
    "use_dora": False,
    "modules_to_save": None,
}


def folder(path: Path, config: object = PEFT) -> Path:
    path.mkdir()
    (path / "adapter_config.json").write_text(json.dumps(config))
    (path / "adapter_model.safetensors").write_bytes(b"x" * 100)
    return path


def test_the_highest_rank_counts_and_switches_that_are_off_do_not() -> None:
    assert adapter_facts(PEFT) == AdapterFacts("models/tiny-chat", 12, ("q_proj", "v_proj"), ())
    odd = {"peft_type": "IA3", "bias": "all", "use_dora": True, "target_modules": "all-linear", "r": True}
    assert adapter_facts(odd) == AdapterFacts(None, None, ("all-linear",), ("peft_type IA3", "bias", "use_dora"))
    assert adapter_facts({"target_modules": {"a": 1}, "rank_pattern": ["x"], "r": "8"}) == AdapterFacts()


def test_an_adapters_folder_needs_no_config_of_a_model_and_its_facts_are_locked(tmp_path: Path) -> None:
    locked = digest_folder(folder(tmp_path / "sql"), name="adapters/sql")
    assert locked.facts.adapter == adapter_facts(PEFT)
    assert locked.facts.architectures == ()
    written = Locked(models={locked.key: locked})
    assert decode(Document.model_validate(encode(written)), {}) == written


def test_a_config_that_is_none_is_said_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(LockfileError, match=r"adapter_config\.json holds a list, not an object"):
        digest_folder(folder(tmp_path / "sql", []), name="adapters/sql")
