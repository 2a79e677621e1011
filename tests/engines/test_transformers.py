"""Transformers: what its server would forget, confuse or call by another name is refused, said or put right in front of it."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.engines import ENGINES
from deployer.engines.base import Slot
from deployer.engines.transformers_front import PROGRAM, SOURCE
from deployer.spec.models import Batch, EndpointSpec, Placement, Sampling
from tests.engines.builders import CPU_SLOT, GPU, GPU_SLOT, deployment, messages, model

ENGINE = ENGINES["transformers"]
FRONT: dict[str, Any] = {"__name__": "front"}
exec(SOURCE, FRONT)
CHAT, PLAIN, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
CONFIG: dict[str, Any] = {"names": ["chat", "tiny"], "view": "/var/cache/m", "at_once": None, "serve": {}}
SAID = b'"model":"/var/cache/m@main"'


def config(engine_settings: dict[str, Any], slot: Slot = CPU_SLOT, **fields: Any) -> dict[str, Any]:
    process = ENGINE.process(deployment("transformers", engine_settings, **fields), model(), slot)
    read = json.loads(process.files[0].content)
    assert isinstance(read, dict)
    return read


def test_the_program_reads_one_file_and_nothing_of_the_yaml_is_in_its_arguments() -> None:
    spec = deployment("transformers", {"dtype": "float32"}, sampling=Sampling(stop=("ü\n",)), batch=Batch(max_size=4))
    process = ENGINE.process(spec, model(), CPU_SLOT)
    assert process.argv == ("{env}/bin/python", "-I", f"{{credentials}}/{PROGRAM}", "{credentials}/config.json")
    assert [file.name for file in process.files] == ["config.json", PROGRAM]
    assert json.loads(process.files[0].content) == {
        "model": "{model}",
        "view": "{cache}/model-20000",
        "names": ["chat"],
        "at_once": 4,
        "drain_s": 30,
        "sampling": {"stop": ["ü\n"]},
        "serve": {
            "host": "127.0.0.1",
            "port": 20000,
            "device": "cpu",
            "dtype": "float32",
            "trust_remote_code": False,
            "continuous_batching": False,
        },
    }


def test_a_gpu_is_named_by_uuid_and_several_share_the_layers() -> None:
    process = ENGINE.process(deployment("transformers", {"device": "cuda"}), model(), GPU_SLOT)
    assert process.env["CUDA_VISIBLE_DEVICES"] == GPU
    assert config({"device": "cuda"}, GPU_SLOT)["serve"]["device"] == "cuda:0"
    assert config({}, Slot("gpu-1", 0, 20000, (GPU, GPU[:-1] + "6"), "x86_64"))["serve"]["device"] == "auto"


def test_a_cpu_gets_the_cpu_build_a_gpu_the_other_and_bitsandbytes_when_it_is_wanted() -> None:
    cpu, cuda, bits = (
        ENGINE.environments(deployment("transformers", said))[0]
        for said in ({}, {"device": "cuda"}, {"device": "cuda", "quantization": "bnb-8bit"})
    )
    assert [e.name for e in (cpu, cuda, bits)] == [
        "transformers-5.23.0",
        "transformers-cuda-5.23.0",
        "transformers-cuda-bnb-5.23.0",
    ]
    assert "torch==2.13.0" in cpu.requirements
    assert "torch===2.13.0" in cuda.requirements
    assert any(r.startswith("bitsandbytes") for r in bits.requirements)
    assert not any(r.startswith("bitsandbytes") for r in cpu.requirements + cuda.requirements)
    assert cpu.python == ">=3.11"


@pytest.mark.parametrize(
    ("engine_settings", "fields", "message"),
    [
        ({"quantization": "bnb-4bit"}, {}, "quantization: bnb-4bit is bitsandbytes, which wants a GPU here"),
        ({"device": "cpu"}, {"placement": Placement(gpus=1)}, "device: cpu uses no GPU"),
        ({"device": "cuda"}, {"placement": Placement(gpus=0)}, "device: cuda wants a GPU"),
        ({"attn_implementation": "flash_attention_2"}, {}, "flash_attention_2 wants a GPU"),
        ({"continuous_batching": True}, {}, "takes most of the host's memory"),
        ({"device": "cuda", "continuous_batching": True}, {"sampling": Sampling(stop=("x",))}, "does not look for stop strings"),
        ({"cb_num_blocks": 8}, {}, "cb_num_blocks is of continuous batching, which is off"),
        ({}, {"sampling": Sampling(frequency_penalty=0.5)}, "transformers has no frequency_penalty"),
        ({}, {"batch": Batch(max_wait=1.0)}, "never waits for more requests"),
        ({"version": "5.9.0"}, {}, "transformers 5.9.0 is older than 5.19"),
        ({"env": {"HF_HUB_OFFLINE": "0"}}, {}, "env may not hold HF_HUB_OFFLINE"),
        ({"env": {"HF_TOKEN": "x"}}, {}, "looks like a secret"),
        ({}, {"endpoint": EndpointSpec(model_names=("{model}",))}, "a word of deployer's own"),
    ],
)
def test_what_it_would_swallow_is_refused(engine_settings: dict[str, Any], fields: dict[str, Any], message: str) -> None:
    assert message in " ".join(messages("transformers", engine_settings, **fields))


def test_a_plain_deployment_is_taken_on_both_devices() -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, min_p=0.1, repetition_penalty=1.1, stop=("</s>",), seed=7)
    assert messages("transformers", {}, sampling=sampling) == []
    assert messages("transformers", {"quantization": "bnb-4bit"}, placement=Placement(gpus=1)) == []


@pytest.mark.parametrize(
    ("files", "facts", "engine_settings", "message"),
    [
        (("model-q4.gguf",), {}, {}, "it has no config.json"),
        (("config.json", "model.bin"), {}, {}, "converted for CTranslate2"),
        ((), {"architectures": ("BertModel",)}, {}, "BertModel does not generate text"),
        ((), {"quantization": "gptq"}, {"quantization": "bnb-4bit"}, "quantized with gptq already"),
        ((), {"quantization": "gptq"}, {}, "are read by the package gptqmodel"),
    ],
)
def test_a_model_it_cannot_serve_is_refused_before_a_download(
    files: tuple[str, ...], facts: dict[str, Any], engine_settings: dict[str, Any], message: str
) -> None:
    [complaint] = ENGINE.check_model(deployment("transformers", engine_settings), model(*files, **facts))
    assert message in complaint.message


def test_a_package_that_is_asked_for_is_enough() -> None:
    spec = deployment("transformers", {"requirements": ("gptqmodel>=5",)})
    assert ENGINE.check_model(spec, model(quantization="gptq")) == ()
    assert ENGINE.check_model(deployment("transformers"), model()) == ()


def prepared(request: Any, path: str = CHAT, defaults: Any = None, **changed: Any) -> tuple[dict[str, Any], str]:
    found: tuple[dict[str, Any], str] = FRONT["prepared"](request, path, {**CONFIG, **changed}, defaults or {})
    return found


def refusal(request: Any, path: str = CHAT, defaults: Any = None, **changed: Any) -> tuple[int, str]:
    with pytest.raises(FRONT["Refused"]) as refused:
        prepared(request, path, defaults, **changed)
    return refused.value.status, str(refused.value)


def test_the_deployment_has_its_names_and_no_other() -> None:
    assert prepared({"model": "tiny"}) == ({"model": "/var/cache/m"}, "tiny")
    assert prepared({}) == ({"model": "/var/cache/m"}, "chat")
    assert refusal({"model": "/var/cache/m"})[0] == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("n", True),
        ("logprobs", True),
        ("logprobs", 0),
        ("top_logprobs", 3),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("response_format", {"type": "json_object"}),
        ("tool_choice", "none"),
        ("reasoning_effort", "low"),
    ],
)
def test_what_the_server_would_forget_is_refused_by_name(field: str, value: Any) -> None:
    assert refusal({field: value}) == (400, f"{field} is not supported by transformers serve")


@pytest.mark.parametrize(
    "harmless",
    [{"n": 1}, {"logprobs": False}, {"presence_penalty": 0.0}, {"response_format": {"type": "text"}}, {"n": None, "stop": None}],
)
def test_what_means_nothing_is_taken(harmless: dict[str, Any]) -> None:
    made, _ = prepared(harmless)
    assert {k: v for k, v in made.items() if v is not None} == {"model": "/var/cache/m"}


def test_defaults_fill_what_a_request_does_not_say() -> None:
    defaults = {"max_tokens": 64, "stop": ["</s>"], "temperature": 0.0}
    assert prepared({"max_completion_tokens": 5, "temperature": 1}, CHAT, defaults)[0] == {
        "model": "/var/cache/m",
        "max_completion_tokens": 5,
        "temperature": 1,
        "stop": ["</s>"],
    }
    assert prepared({}, RESPONSES, defaults)[0] == {
        "model": "/var/cache/m",
        "max_output_tokens": 64,
        "temperature": 0.0,
        "stream": False,
    }


def test_with_continuous_batching_sampling_is_the_deployments() -> None:
    batching = {"serve": {"continuous_batching": True}}
    assert prepared({"temperature": 0.5}, defaults={"temperature": 0.5}, **batching)[0]["temperature"] == 0.5
    assert (
        "temperature cannot differ between requests" in refusal({"temperature": 1}, defaults={"temperature": 0.5}, **batching)[1]
    )
    assert "stop cannot differ" in refusal({"stop": ["x"]}, **batching)[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FRONT["FORGOTTEN"], "model", "stop"]), inner),
    max_leaves=8,
)


@given(request=JSON, path=st.sampled_from([CHAT, PLAIN, RESPONSES]), batching=st.booleans())
@settings(max_examples=100)
def test_any_body_is_answered_or_refused(request: Any, path: str, batching: bool) -> None:
    try:
        made, name = prepared(request, path, {"stop": ["x"], "max_tokens": 1}, serve={"continuous_batching": batching})
    except FRONT["Refused"]:
        return  # anything else is a crash
    assert made["model"] == "/var/cache/m"
    assert name in ("chat", "tiny")
    assert not {"n", "logprobs", "response_format"} & set(made)


def answered(path: str, body: bytes, parts: list[bytes], kind: bytes, status: int = 200) -> tuple[int, bytes, dict[bytes, bytes]]:
    """What a client of the front gets when the server says `parts`."""
    sent: list[Any] = []

    async def server(scope: Any, receive: Any, send: Any) -> None:
        assert json.loads((await receive())["body"])["model"] == "/var/cache/m"
        headers = [(b"content-type", kind), (b"content-length", b"999")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    front = FRONT["Front"](server, CONFIG, {})
    asyncio.run(front({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send))
    whole = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], whole, dict(sent[0]["headers"])


def test_an_answer_says_the_name_that_was_asked() -> None:
    body = b'{"id":"1",' + SAID + b',"text":"he said \\"model\\""}'
    status, whole, headers = answered(PLAIN, b'{"model":"tiny"}', [body[:20], body[20:]], b"application/json")
    assert (status, json.loads(whole)["model"]) == (200, "tiny")
    assert headers[b"content-length"] == str(len(whole)).encode()


def test_a_stream_comes_piece_by_piece_and_ends_as_openai_ends_it() -> None:
    pieces = [b"data: {" + SAID + b"}\n\n", b"data: {}\n\n"]
    assert answered(CHAT, b"{}", pieces, b"text/event-stream; charset=utf-8")[1] == (
        b'data: {"model":"chat"}\n\ndata: {}\n\ndata: [DONE]\n\n'
    )
    assert answered(RESPONSES, b"{}", pieces, b"text/event-stream")[1].endswith(b"data: {}\n\n")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (422, b'{"detail":"Unexpected fields in the request: {\'top_k\'}"}', "Unexpected fields in the request: {'top_k'}"),
        (503, b'{"error":"CB worker is dead"}', "CB worker is dead"),
        (500, b"Internal Server Error", "Internal Server Error"),
    ],
)
def test_errors_have_openais_form(status: int, body: bytes, message: str) -> None:
    code, whole, headers = answered(CHAT, b"{}", [body], b"text/plain", status)
    error = json.loads(whole)["error"]
    assert (code, error["message"], error["code"]) == (status, message, status)
    assert headers[b"content-type"] == b"application/json"


def test_a_body_that_is_no_json_is_told() -> None:
    async def server(*_: Any) -> None:
        raise AssertionError("the server was asked")

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"\xff{"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(
        FRONT["Front"](server, CONFIG, {})({"type": "http", "method": "POST", "path": CHAT, "headers": []}, receive, send)
    )
    assert sent[0]["status"] == 400
    assert "the body is not JSON" in json.loads(sent[1]["body"])["error"]["message"]


def seen(tmp_path: Path, own: dict[str, Any] | None, sampling: dict[str, Any], **serve: Any) -> tuple[dict[str, Any], Any]:
    """The generation_config.json that the server reads, and the defaults of requests."""
    source = tmp_path / "model"
    source.mkdir(exist_ok=True)
    (source / "config.json").write_text("{}")
    if own is not None:
        (source / "generation_config.json").write_text(json.dumps(own))
    view = tmp_path / "view"
    said = {"model": str(source), "view": str(view), "sampling": sampling, "serve": serve}
    defaults = [FRONT["view"](said) for _ in range(2)][-1]  # again, as a restart does
    assert os.readlink(view / "config.json") == str(source / "config.json")
    return json.loads((view / "generation_config.json").read_text()), defaults


def test_a_request_can_ask_for_sampling_though_the_model_is_greedy_by_itself(tmp_path: Path) -> None:
    read, defaults = seen(tmp_path, {"eos_token_id": [0]}, {"top_k": -1, "max_tokens": 5})
    assert read == {"eos_token_id": [0], "top_k": 0, "do_sample": True, "temperature": 1.0}
    assert defaults == {"max_tokens": 5, "temperature": 0.0}


def test_a_model_that_samples_keeps_its_temperature_unless_the_yaml_says_one(tmp_path: Path) -> None:
    assert seen(tmp_path, {"do_sample": True, "temperature": 0.6}, {})[1] == {"temperature": 0.6}
    read, defaults = seen(tmp_path, {"do_sample": True, "temperature": 0.6}, {"temperature": 0.2, "min_p": 0.1})
    assert (read["temperature"], read["min_p"], defaults) == (0.2, 0.1, {"temperature": 0.2})


def test_continuous_batching_without_a_temperature_stays_greedy(tmp_path: Path) -> None:
    assert seen(tmp_path, None, {}, continuous_batching=True)[0]["do_sample"] is False
