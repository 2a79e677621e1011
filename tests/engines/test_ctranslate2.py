"""CTranslate2: what it would do without a word is said, refused, or done right for it."""

import json
from typing import Any

import pytest

from deployer.engines import ENGINES
from deployer.engines.base import Slot
from deployer.serve.config import parse_config
from deployer.spec.models import Batch, EndpointSpec, Placement, Sampling
from tests.engines.builders import CPU_SLOT, GPU, GPU_SLOT, deployment, messages, model

CT2 = ENGINES["ctranslate2"]


def config(settings: dict[str, Any], slot: Slot = CPU_SLOT, **fields: Any) -> dict[str, Any]:
    process = CT2.process(deployment("ctranslate2", settings, **fields), model(), slot)
    read = json.loads(process.files[0].content)
    assert isinstance(read, dict)
    return read


def test_the_server_reads_one_file_that_says_everything() -> None:
    sampling = Sampling(temperature=0.7, stop=("</s>", "ü\n"), max_tokens=64)
    read = config(
        {"intra_threads": 2}, sampling=sampling, endpoint=EndpointSpec(model_names=("acme/tiny",)), batch=Batch(max_wait=0.002)
    )
    assert read == {
        "model_dir": "{model}",
        "model_names": ["chat", "acme/tiny"],
        "host": "127.0.0.1",
        "port": 20000,
        "device": "cpu",
        "device_index": [0],
        "compute_type": "default",
        "inter_threads": 1,
        "intra_threads": 2,
        "max_model_len": 2048,
        "max_batch_size": 16,
        "max_wait_ms": 2.0,
        "max_queue": 256,
        "log_requests": False,
        "sampling": {"temperature": 0.7, "stop": ["</s>", "ü\n"], "max_tokens": 64},
        "shutdown_timeout_s": 30,
    }


def test_our_server_takes_what_is_written_for_it() -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, max_tokens=64, stop=("</s>",), repetition_penalty=1.1, seed=7)
    parsed = parse_config(config({"quantization": "int8", "max_queue": 8}, sampling=sampling, batch=Batch(max_size=4)))
    assert (parsed.max_queue, parsed.max_batch_size, parsed.model_names) == (8, 4, ("chat",))
    assert (parsed.sampling.stop, parsed.sampling.seed, parsed.sampling.top_k) == (("</s>",), 7, 40)


def test_the_context_of_the_model_is_the_limit_unless_a_smaller_one_is_said() -> None:
    assert config({})["max_model_len"] == 2048
    assert config({"max_model_len": 512})["max_model_len"] == 512


def test_gpus_come_by_uuid_and_with_cublas() -> None:
    spec = deployment("ctranslate2", {"device": "cuda"})
    process = CT2.process(spec, model(), GPU_SLOT)
    assert process.env["CUDA_VISIBLE_DEVICES"] == GPU
    assert "/python3.11/site-packages/nvidia/cublas/lib" in process.env["LD_LIBRARY_PATH"]
    assert any(r.startswith("nvidia-cublas-cu12") for r in CT2.environments(spec)[0].requirements)
    assert json.loads(process.files[0].content)["device"] == "cuda"


def test_without_gpus_no_gpu_library_is_installed() -> None:
    serving, convert = CT2.environments(deployment("ctranslate2"))
    assert (serving.name, convert.name) == ("ctranslate2-4.8.5", "ctranslate2-convert-4.8.5")
    assert not any("nvidia" in r or "torch" in r for r in serving.requirements)
    assert any(r.startswith("torch==") for r in convert.requirements)


def test_gpus_wanted_follow_from_device_and_placement() -> None:
    assert CT2.gpus(deployment("ctranslate2")) == 0
    assert CT2.gpus(deployment("ctranslate2", {"device": "cuda"})) == 1
    assert CT2.gpus(deployment("ctranslate2", {}, placement=Placement(gpus=2))) == 2


def test_a_conversion_copies_what_the_model_has_and_the_converter_would_forget() -> None:
    conversion = CT2.conversion(deployment("ctranslate2", {"quantization": "int8"}), model())
    assert conversion is not None
    copied = conversion.argv[conversion.argv.index("--copy_files") + 1 :]
    assert copied == ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    assert conversion.argv[conversion.argv.index("--quantization") + 1] == "int8"
    assert conversion.environment == "ctranslate2-convert-4.8.5"
    assert 0.5 < conversion.disk_factor < 0.6


def test_another_quantization_is_another_artifact() -> None:
    made = [CT2.conversion(deployment("ctranslate2", {"quantization": q}), model()) for q in ("int8", "float32")]
    assert len({json.dumps(dict(c.inputs), sort_keys=True) for c in made if c}) == 2


def test_a_model_that_is_converted_already_is_taken_as_it_is() -> None:
    assert CT2.conversion(deployment("ctranslate2"), model("model.bin", "tokenizer.json", "config.json")) is None


@pytest.mark.parametrize(
    ("settings", "fields", "message"),
    [
        ({"compute_type": "float16"}, {}, "a CPU cannot compute in float16: CTranslate2 would take another type without a word"),
        ({"kind": "whisper", "pooling": "cls"}, {}, "only an encoder has pooling, and kind is whisper"),
        ({"kind": "encoder"}, {"sampling": Sampling(temperature=0.1)}, "an encoder samples no tokens"),
        ({"device": "cpu"}, {"placement": Placement(gpus=1)}, "device: cpu uses no GPU"),
        ({"device": "cuda"}, {"placement": Placement(gpus=0)}, "device: cuda wants a GPU"),
        ({}, {"sampling": Sampling(min_p=0.1)}, "CTranslate2 has no min_p"),
        ({}, {"sampling": Sampling(presence_penalty=0.5)}, "CTranslate2 has no presence_penalty"),
        ({"env": {"OPENAI_API_KEY": "x"}}, {}, "looks like a secret"),
    ],
)
def test_what_it_would_swallow_is_refused(settings: dict[str, Any], fields: dict[str, Any], message: str) -> None:
    assert message in " ".join(messages("ctranslate2", settings, **fields))


def test_everything_a_request_may_default_to_is_held() -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, max_tokens=512, stop=("</s>",), repetition_penalty=1.1, seed=7)
    assert messages("ctranslate2", {}, sampling=sampling) == []


@pytest.mark.parametrize(
    ("files", "facts", "settings", "message"),
    [
        ((), {"architectures": ("DeepseekV3ForCausalLM",)}, {}, "has no converter for DeepseekV3ForCausalLM"),
        (("config.json", "model.safetensors"), {}, {}, "has no tokenizer.json"),
        ((), {}, {"max_model_len": 4096}, "more than the model's context of 2048 tokens"),
        ((), {"quantization": "fp8"}, {}, "quantized with fp8"),
    ],
)
def test_a_model_it_cannot_serve_is_refused_before_a_download(
    files: tuple[str, ...], facts: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    [complaint] = CT2.check_model(deployment("ctranslate2", settings), model(*files, **facts))
    assert message in complaint.message
