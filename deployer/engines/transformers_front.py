"""What stands between `transformers serve` and its clients on a host, as the text of a program. Called by engines.transformers.

The server of 5.23 answers one model name only, the path of the model's folder, and says that path in every answer. It never
samples unless the model's own generation_config.json says so, whatever temperature a request asks for. It reads `n`, `logprobs`,
`response_format` and more, and goes on as if they were not there; a frequency penalty becomes a repetition penalty. Streams
lack their last line, /v1/models is an error without a hub cache, idle connections are closed after 5 s (docs/decisions/0015).

The program starts that server in its own process, with a small ASGI application around it that mends this.
"""

PROGRAM = "serve.py"

SOURCE = r'''"""Starts `transformers serve` for one model under the names of a deployment. argv: its configuration."""

import asyncio
import json
import os
import shutil
import sys
import time

#: What the length of an answer is called, by path; the first is written, each of them counts as said.
LENGTH = {
    "/v1/completions": ("max_tokens",),
    "/v1/chat/completions": ("max_tokens", "max_completion_tokens"),
    "/v1/responses": ("max_output_tokens",),
}
#: What it would read and forget, with the values that mean nothing anyway.
FORGOTTEN = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),  # it would become a repetition penalty
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto",),
    "parallel_tool_calls": (True,),
    "functions": ([],),
    "function_call": (),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "web_search_options": (),
}
#: With continuous batching the first request's settings would be everybody's.
SHARED = ("temperature", "top_p", "stop", "seed", "logit_bias")


class Refused(Exception):
    def __init__(self, status, message, param):
        super().__init__(message)
        self.status, self.param = status, param


def prepared(request, path, config, defaults):
    """The request as the server wants it, and the name that its answer must say."""
    if not isinstance(request, dict):
        raise Refused(400, "the body must be a JSON object", None)
    name = request.get("model") or config["names"][0]
    if name not in config["names"]:
        raise Refused(404, "the model %r does not exist; there is %s" % (name, ", ".join(config["names"])), "model")
    for field, harmless in FORGOTTEN.items():
        value = request.get(field)
        # False is no 0 here
        if value is not None and not any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in harmless):
            raise Refused(400, "%s is not supported by transformers serve" % field, field)
    if path == "/v1/completions" and request.get("logit_bias"):
        raise Refused(400, "logit_bias is supported in chats only", "logit_bias")
    made = {field: value for field, value in request.items() if field not in FORGOTTEN and field != "stream_options"}
    if config["serve"].get("continuous_batching"):
        for field in SHARED:
            if made.pop(field, None) not in (None, defaults.get(field)):
                what = "%s cannot differ between requests with continuous batching; this deployment has %r"
                raise Refused(400, what % (field, defaults.get(field)), field)
    for field, value in defaults.items():
        names = LENGTH[path] if field == "max_tokens" else (field,)
        if field == "stop" and path == "/v1/responses":
            continue
        if all(made.get(one) is None for one in names):
            made[names[0]] = value
    if path == "/v1/responses":
        made.setdefault("stream", False)  # it would stream to who did not ask for it
    made["model"] = config["view"]
    return made, name


class Front:
    def __init__(self, app, config, defaults):
        self.app, self.config, self.defaults = app, config, defaults
        self.turn = asyncio.Semaphore(config["at_once"]) if config["at_once"] else None
        self.running = self.waiting = self.answered = 0
        self.said = json.dumps(config["view"] + "@main", ensure_ascii=False).encode()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/v1/models" and scope["method"] == "GET":
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "deployer"} for name in self.config["names"]]
            await say(send, 200, {"object": "list", "data": models})
        elif scope["path"] == "/metrics" and scope["method"] == "GET":
            await say(send, 200, self.metrics())
        elif scope["path"] in LENGTH and scope["method"] == "POST":
            await self.ask(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def ask(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            request, name = prepared(json.loads(body), scope["path"], self.config, self.defaults)
        except (ValueError, RecursionError) as error:
            await say(send, 400, wrong(400, "the body is not JSON: %s" % error, None))
            return
        except Refused as refused:
            await say(send, refused.status, wrong(refused.status, str(refused), refused.param))
            return
        body = json.dumps(request).encode()
        replay = [{"type": "http.request", "body": body, "more_body": False}]
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding", b"content-type")]
        headers += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]

        async def again():
            return replay.pop() if replay else await receive()

        end = b"" if scope["path"] == "/v1/responses" else b"data: [DONE]\n\n"
        answer = Answer(send, self.said, json.dumps(name, ensure_ascii=False).encode(), end)
        self.waiting += 1
        if self.turn:
            await self.turn.acquire()
        self.waiting, self.running = self.waiting - 1, self.running + 1
        try:
            await self.app({**scope, "headers": headers}, again, answer)
            self.answered += answer.status < 400
        finally:
            self.running -= 1
            if self.turn:
                self.turn.release()

    def metrics(self):
        label = '{model_name="%s"}' % self.config["names"][0]
        found = (("num_requests_running", "gauge", self.running), ("num_requests_waiting", "gauge", self.waiting))
        found += (("request_success_total", "counter", self.answered),)
        return "".join("# TYPE vllm:%s %s\nvllm:%s%s %d\n" % (name, kind, name, label, value) for name, kind, value in found)


class Answer:
    """Says the name that was asked where the server says its folder, errors in OpenAI's form, and ends streams."""

    def __init__(self, send, said, own, end):
        self.send, self.said, self.own, self.end = send, b'"model":' + said, b'"model":' + own, end
        self.start, self.status, self.stream, self.body = None, 500, False, b""

    async def __call__(self, message):
        if message["type"] == "http.response.start":
            self.start, self.status = message, message["status"]
            kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            self.stream = any(value.startswith(b"text/event-stream") for value in kinds)
            if self.stream:
                await self.send(message)
            return
        body, last = message.get("body", b""), not message.get("more_body", False)
        if self.stream:
            body = body.replace(self.said, self.own) + (self.end if last else b"")
            await self.send({"type": "http.response.body", "body": body, "more_body": not last})
            return
        self.body += body
        if not last:
            return
        body = self.body.replace(self.said, self.own)
        headers = [pair for pair in self.start["headers"] if pair[0].lower() != b"content-length"]
        if self.status >= 400:
            body = json.dumps(wrong(self.status, told(body), None)).encode()
            headers = [pair for pair in headers if pair[0].lower() != b"content-type"] + [(b"content-type", b"application/json")]
        await self.send({**self.start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await self.send({"type": "http.response.body", "body": body})


def told(body):
    """The sentence in an error of the server's."""
    try:
        found = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace") or "no reason was given"
    found = found.get("detail", found.get("error", found)) if isinstance(found, dict) else found
    return found if isinstance(found, str) else json.dumps(found)


def wrong(status, message, param):
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


async def say(send, status, body):
    text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = b"text/plain; version=0.0.4" if isinstance(body, str) else b"application/json"
    headers = [(b"content-type", kind), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def view(config):
    """A folder of links to the model's files, with sampling that can be asked for. Gives the defaults of requests."""
    shutil.rmtree(config["view"], ignore_errors=True)
    os.makedirs(config["view"])
    for name in os.listdir(config["model"]):
        if name != "generation_config.json":
            os.symlink(os.path.join(config["model"], name), os.path.join(config["view"], name))
    try:
        with open(os.path.join(config["model"], "generation_config.json"), encoding="utf-8") as file:
            own = json.load(file)
    except FileNotFoundError:
        own = {}
    wanted = dict(config["sampling"])
    defaults = {name: wanted.pop(name) for name in ("max_tokens", "stop", "seed") if name in wanted}
    plain = (own.get("temperature") or 1.0) if own.get("do_sample") else 0.0
    defaults["temperature"] = wanted.pop("temperature", plain)
    if wanted.get("top_k", 0) < 0:
        wanted["top_k"] = 0
    # without this a request's temperature would change nothing
    shared = bool(config["serve"].get("continuous_batching")) and defaults["temperature"] == 0
    own = {**own, **wanted, "do_sample": not shared, "temperature": defaults["temperature"] or 1.0}
    with open(os.path.join(config["view"], "generation_config.json"), "w", encoding="utf-8") as file:
        json.dump(own, file)
    return defaults


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    print("loading the model from %s" % config["model"], flush=True)
    began = time.monotonic()
    defaults = view(config)
    import uvicorn
    from transformers.cli.serve import Serve

    plain = uvicorn.Config

    def fronted(app, **options):
        print("ready after %.1f s" % (time.monotonic() - began), flush=True)
        options.update(access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=config["drain_s"])
        return plain(Front(app, config, defaults), **options)

    uvicorn.Config = fronted
    Serve(force_model=config["view"], **config["serve"])


if __name__ == "__main__":
    main()
'''
