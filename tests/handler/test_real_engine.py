"""Our own server on models/tiny-chat behind the handler: the same answers as without it, and what is written down of them."""

import json
import sys
from pathlib import Path

from tests.handler.process import ENGINE_HOST, Handler, content, events
from tests.ports import free_port
from tests.serve.conversion import convert

ROOT = Path(__file__).parents[2]


def test_a_real_engine_answers_through_the_handler_and_is_written_down(tmp_path):
    port = free_port()
    config = {"model_dir": str(convert(ROOT / "models" / "tiny-chat", tmp_path / "model")), "model_names": ["chat"], "port": port}
    (tmp_path / "serve.json").write_text(json.dumps({**config, "host": ENGINE_HOST, "intra_threads": 1, "max_model_len": 1024}))
    argv = [sys.executable, "-m", "deployer.serve", "--config", str(tmp_path / "serve.json")]
    upstream = {"argv": argv, "host": ENGINE_HOST, "port": port, "ready_path": "/health", "stop_signal": "SIGINT"}
    log = {"requests": "full", "sink": "file", "redact": ["$.messages[*].content"], "file": {"path": str(tmp_path / "log.jsonl")}}
    handler = Handler(tmp_path, upstream=upstream, log=log)
    handler.wait_line("serve: ready")
    asked = {"max_tokens": 8, "temperature": 0}
    text = handler.chat("Tell me a story", **asked)[1]["choices"][0]["message"]["content"]
    streamed = events(handler.chat("Tell me a story", stream=True, stream_options={"include_usage": True}, **asked)[1])
    assert text
    assert content(streamed) == text
    assert b"vllm:" in handler.ask("GET", "/metrics")[2]
    assert handler.ask("GET", "/health")[0] == 200
    assert handler.end() == 0
    handler.wait_line("serve: stopped")
    one, two = (json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    assert one["completion_tokens"] == two["completion_tokens"] == 8
    assert one["response"]["choices"][0]["message"]["content"] == two["response"]["choices"][0]["message"]["content"] == text
    assert one["request"]["messages"][0]["content"] == "[redacted]"
