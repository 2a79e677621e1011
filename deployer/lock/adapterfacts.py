"""What an adapter_config.json (as PEFT writes it) says about a LoRA adapter. Pure; shared by hub.py and folder.py."""

from collections.abc import Iterator, Mapping
from typing import Any

from deployer.state.locked import AdapterFacts

ADAPTER = "adapter_config.json"
#: Switches that change what is computed; off in a plain LoRA.
_SWITCHES = (
    "use_dora",
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "layer_replication",
    "alora_invocation_tokens",
    "modules_to_save",
)


def adapter_facts(config: Mapping[str, Any]) -> AdapterFacts:
    """What is absent or of the wrong type is None, never a guess."""
    pattern = config.get("rank_pattern")
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, Mapping) else ())]
    whole = [rank for rank in ranks if isinstance(rank, int) and not isinstance(rank, bool) and rank > 0]
    base, targets = config.get("base_model_name_or_path"), config.get("target_modules")
    return AdapterFacts(
        base=base if isinstance(base, str) and base else None,
        rank=max(whole, default=None),
        targets=_names(targets),
        unusual=tuple(_unusual(config)),
    )


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(sorted(item for item in value if isinstance(item, str))) if isinstance(value, list) else ()


def _unusual(config: Mapping[str, Any]) -> Iterator[str]:
    kind = config.get("peft_type")
    if isinstance(kind, str) and kind != "LORA":
        yield f"peft_type {kind}"
    if config.get("bias") not in (None, "none"):
        yield "bias"
    yield from (name for name in _SWITCHES if config.get(name))
