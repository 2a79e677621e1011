"""Answers that HAProxy gives itself, in the shape that clients of OpenAI's API read."""

import json

from deployer.render.quote import haproxy_word


def body(message: str, code: str) -> str:
    kind = "server_error" if code in ("replicas_down", "deployment_stopped") else "invalid_request_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def answer(status: int, message: str, code: str, condition: str = "") -> str:
    said = haproxy_word(body(message, code))
    return f"    http-request return status {status} content-type application/json string {said} {condition}".rstrip() + "\n"
