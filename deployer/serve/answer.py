"""What goes back to the client: the objects of OpenAI's API, whole or in chunks."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Sequence
from typing import Any

from deployer.serve.request import Job

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class Answer:
    """Shapes of one answer. Chat and plain completions differ only here. `request_id`: the client's own, as vLLM takes it."""

    def __init__(self, job: Job, request_id: str | None = None) -> None:
        self._job = job
        own = request_id if request_id is not None and _REQUEST_ID.fullmatch(request_id) else uuid.uuid4().hex
        self.id = ("chatcmpl-" if job.chat else "cmpl-") + own
        self._name = "chat.completion" if job.chat else "text_completion"
        self._base: dict[str, Any] = {"id": self.id, "object": "", "created": int(time.time()), "model": job.model_name}

    def whole(self, choices: Sequence[tuple[str, str, Any]], tokens: int) -> dict[str, Any]:
        """`choices`: (text, finish reason, logprobs) in the order of their index."""
        shaped = [self._choice(index, *choice) for index, choice in enumerate(choices)]
        return {**self._base, "object": self._name, "choices": shaped, "usage": self.usage(tokens)}

    def _choice(self, index: int, text: str, reason: str, logprobs: Any) -> dict[str, Any]:
        shape = {"message": {"role": "assistant", "content": text}} if self._job.chat else {"text": text}
        return {"index": index, **shape, "logprobs": logprobs, "finish_reason": reason}

    def usage(self, tokens: int) -> dict[str, int]:
        prompt = sum(len(prompt.ids) for prompt in self._job.prompts)
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def opening(self, index: int, echo: str = "", tokens: int = 0) -> str:
        """The first chunk: of a chat, who speaks; of a plain completion, its prompt where that was asked for."""
        if self._job.chat:
            return self._chunk(index, {"role": "assistant", "content": ""}, "", None, tokens)
        return self._chunk(index, {}, echo, None, tokens) if echo else ""

    def piece(self, index: int, text: str, tokens: int) -> str:
        return self._chunk(index, {"content": text}, text, None, tokens)

    def closing(self, index: int, reason: str, tokens: int) -> str:
        return self._chunk(index, {}, "", reason, tokens)

    def end(self, tokens: int) -> str:
        """After the last choice has closed."""
        usage = event({**self._base, "object": self._chunk_name, "choices": [], "usage": self.usage(tokens)})
        return (usage if self._job.include_usage else "") + "data: [DONE]\n\n"

    @property
    def _chunk_name(self) -> str:
        return "chat.completion.chunk" if self._job.chat else "text_completion"

    def _chunk(self, index: int, delta: dict[str, Any], text: str, reason: str | None, tokens: int) -> str:
        shape: dict[str, Any] = {"delta": delta} if self._job.chat else {"text": text}
        choice = {"index": index, **shape, "logprobs": None, "finish_reason": reason}
        more: dict[str, Any] = {}
        if self._job.include_usage:
            more = {"usage": self.usage(tokens) if self._job.usage_always else None}
        return event({**self._base, "object": self._chunk_name, "choices": [choice], **more})


def event(data: dict[str, Any]) -> str:
    """One server-sent event."""
    return "data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n\n"
