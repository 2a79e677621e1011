"""A record of the request log in words."""

import json

from deployer.app import records

RECORD = {
    "at": "2026-03-01T08:00:00.123Z",
    "id": "req-1\x1b]0;owned\x07",
    "status": 200,
    "route": "/v1/\x1b[2Jchat\u202e",
    "stream": True,
    "latency_ms": 812.4,
    "first_ms": 41.0,
    "prompt_tokens": 31,
    "completion_tokens": 120,
}


def test_what_a_client_wrote_moves_nobodys_terminal() -> None:
    found = records.read(json.dumps(RECORD))
    assert found is not None
    assert (found.id, found.route) == ("req-1�]0;owned�", "/v1/�[2Jchat�")
    assert found.whole["id"] == RECORD["id"]
    assert (found.took, found.tokens) == ("812 ms (first 41)", "31+120 tokens")
