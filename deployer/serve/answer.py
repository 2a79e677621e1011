"""What goes back to the client: the objects of OpenAI's API, whole or in chunks."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from deployer.serve.request import Job


class Answer:
    """Shapes of one answer. Chat and plain completions differ only here."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.id = ("chatcmpl-" if job.chat else "cmpl-") + uuid.uuid4().hex
        self._base: dict[str, Any] = {"id": self.id, "object": "", "created": int(time.time()), "model": job.model_name}

    def whole(self, text: str, reason: str, tokens: int) -> dict[str, Any]:
        shape = {"message": {"role": "assistant", "content": text}} if self._job.chat else {"text": text}
        choice = {"index": 0, **shape, "logprobs": None, "finish_reason": reason}
        name = "chat.completion" if self._job.chat else "text_completion"
        return {**self._base, "object": name, "choices": [choice], "usage": self.usage(tokens)}

    def usage(self, tokens: int) -> dict[str, int]:
        prompt = len(self._job.prompt)
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def opening(self) -> str:
        """The first chunk of a chat, which says who speaks; plain completions have none."""
        return self._chunk({"role": "assistant", "content": ""}, "", None) if self._job.chat else ""

    def piece(self, text: str) -> str:
        return self._chunk({"content": text}, text, None)

    def closing(self, reason: str, tokens: int) -> str:
        end = self._chunk({}, "", reason)
        if self._job.include_usage:
            end += event({**self._base, "object": self._chunk_name, "choices": [], "usage": self.usage(tokens)})
        return end + "data: [DONE]\n\n"

    @property
    def _chunk_name(self) -> str:
        return "chat.completion.chunk" if self._job.chat else "text_completion"

    def _chunk(self, delta: dict[str, Any], text: str, reason: str | None) -> str:
        shape: dict[str, Any] = {"delta": delta} if self._job.chat else {"text": text}
        choice = {"index": 0, **shape, "logprobs": None, "finish_reason": reason}
        more = {"usage": None} if self._job.include_usage else {}
        return event({**self._base, "object": self._chunk_name, "choices": [choice], **more})


def event(data: dict[str, Any]) -> str:
    """One server-sent event."""
    return "data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n\n"
