"""Messages of a chat into the text that the model was trained on, by the model's own template."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from deployer.serve.errors import ApiError, ConfigError, bad

_KEYS = {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "function_call"}
_FIXED = ("messages", "add_generation_prompt", "tools", "documents", "bos_token", "eos_token", "unk_token", "pad_token")


class _Generation(Extension):
    """`{% generation %}` marks for training what the assistant says; for serving it is what is inside."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """`special` are bos_token, eos_token … as the template may use them."""

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _now
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ConfigError(f"the model's chat template is not valid: {error}") from None
        self._special = dict(special)
        self.source = source

    def render(self, messages: Any, *, add_generation_prompt: bool = True, extra: Mapping[str, Any] | None = None) -> str:
        """Raises ApiError 400 for messages of a wrong shape, and for what the template itself refuses."""
        values: dict[str, Any] = {**self._special, **(extra or {})}
        values.update(messages=check_messages(messages), add_generation_prompt=add_generation_prompt, tools=None, documents=None)
        try:
            return self._template.render(values)
        except Exception as error:  # noqa: BLE001  a template is a program: anything may come out of it
            raise bad("messages", f"the model's chat template refuses them: {error}") from None


def check_messages(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not messages:
        raise bad("messages", "a list of at least one message is wanted")
    return [_message(f"messages[{at}]", message) for at, message in enumerate(messages)]


def _message(where: str, message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise bad(where, "an object with role and content is wanted")
    for key, value in message.items():
        if key not in _KEYS:
            raise bad(f"{where}.{key}", "not supported by this engine")
        if key not in ("role", "content", "name") and value not in (None, [], {}):
            raise bad(f"{where}.{key}", "tools, audio and function calls are not supported by this engine")
    role = message.get("role")
    if not isinstance(role, str):
        raise bad(f"{where}.role", "a text is wanted, such as user")
    result: dict[str, Any] = {"role": role, "content": _content(f"{where}.content", message.get("content"))}
    if message.get("name") is not None:
        result["name"] = _text(f"{where}.name", message["name"])
    return result


def _content(where: str, content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(_part(f"{where}[{at}]", part) for at, part in enumerate(content))
    return _text(where, content)


def _part(where: str, part: Any) -> str:
    if not isinstance(part, dict) or part.get("type") != "text" or set(part) - {"type", "text"}:
        raise bad(where, 'only parts like {"type": "text", "text": "…"} are supported by this engine')
    return _text(f"{where}.text", part.get("text"))


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad(where, "a text is wanted")
    return value


def template_arguments(value: Any) -> dict[str, Any]:
    """`chat_template_kwargs` of a request: names for the template, never those that we set."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad("chat_template_kwargs", "an object is wanted")
    for name in value:
        if name in _FIXED:
            raise bad(f"chat_template_kwargs.{name}", "is set by the server")
    return dict(value)


def _tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> str:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)


def no_template() -> ApiError:
    return bad("messages", "this model has no chat template; use /v1/completions")
