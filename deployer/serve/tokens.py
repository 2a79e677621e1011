"""`/tokenize`, `/detokenize` and `/tokenizer_info`, in vLLM's shapes: lm-eval and others count tokens with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.serve.body import check_model_name
from deployer.serve.errors import bad
from deployer.serve.model import Model
from deployer.serve.output import flag
from deployer.serve.request import chat_prompt, check_ids, plain_prompt

_CHAT = {"model", "messages", "add_generation_prompt", "add_special_tokens", "chat_template_kwargs", "return_token_strs"}
_TEXT = {"model", "prompt", "add_special_tokens", "return_token_strs"}


def tokenize(body: dict[str, Any], *, model: Model, names: Sequence[str]) -> dict[str, Any]:
    check_model_name(body, names)
    chat = "messages" in body
    _only(body, _CHAT if chat else _TEXT)
    if not chat and not isinstance(body.get("prompt"), str):
        raise bad("prompt", "a text is wanted")
    if chat:
        ids = chat_prompt(body, model).ids
    elif body["prompt"]:
        ids = plain_prompt("prompt", body["prompt"], model, flag(body, "add_special_tokens", True)).ids
    else:
        ids = []
    names_of = [model.vocabulary[token] for token in ids] if flag(body, "return_token_strs", False) else None
    return {"count": len(ids), "max_model_len": model.context, "tokens": ids, "token_strs": names_of}


def detokenize(body: dict[str, Any], *, model: Model, names: Sequence[str]) -> dict[str, Any]:
    check_model_name(body, names)
    _only(body, {"model", "tokens"})
    ids = body.get("tokens")
    if not isinstance(ids, list):
        raise bad("tokens", "a list of token ids is wanted")
    return {"prompt": model.decode_all(check_ids("tokens", ids, model))}


def tokenizer_info(model: Model) -> dict[str, Any]:
    """What tokenizer_config.json says, and the chat template, wherever it lies."""
    info = {"tokenizer_class": "PreTrainedTokenizerFast", **model.settings}
    if model.template is not None:
        info["chat_template"] = model.template.source
    return info


def _only(body: dict[str, Any], allowed: set[str]) -> None:
    for name, value in body.items():
        if name not in allowed and value is not None and value is not False:
            raise bad(name, "unknown, or not supported by this engine")
