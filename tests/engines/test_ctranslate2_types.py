"""What CTranslate2 computes in: its own tables, and the engine that is installed here."""

import platform
import re
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
from ctranslate2.specs import model_spec

from deployer.engines.ctranslate2_types import COMPUTE_TYPES, Device, cpu, gpu, resolve, saved_type
from deployer.engines.effective import Computes, Machine, computes
from deployer.serve.config import Config
from deployer.serve.loading import open_engine
from deployer.state.locked import ModelFacts
from tests.engines.builders import deployment, model

#: docs/quantization.md of CTranslate2, "Implicit type conversion on load".
_COLUMNS = ("int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16")
_INTEL = cpu("x86_64", "GenuineIntel", {})
_AMD = cpu("x86_64", "AuthenticAMD", {})
_ARM = cpu("aarch64", None, {})
_TABLE = [
    (_INTEL, "int8_float32 int8_float32 int8_float32 int16 float32 float32"),
    (_AMD, "int8_float32 int8_float32 int8_float32 int8_float32 float32 float32"),
    (_ARM, "int8_float32 int8_float32 int8_float32 int8_float32 float32 float32"),
    (gpu("9.0", {}), "int8_float32 int8_float16 int8_bfloat16 float16 float16 bfloat16"),
    (gpu("8.0", {}), "int8_float32 int8_float16 int8_bfloat16 float16 float16 bfloat16"),
    (gpu("7.5", {}), "int8_float32 int8_float16 int8_float32 float16 float16 float32"),
    (gpu("6.2", {}), "float32 float32 float32 float32 float32 float32"),
    (gpu("6.1", {}), "int8_float32 int8_float32 int8_float32 float32 float32 float32"),
    (gpu("6.0", {}), "float32 float32 float32 float32 float32 float32"),
]


@pytest.mark.parametrize(("device", "row"), _TABLE, ids=lambda value: value.name if isinstance(value, Device) else "")
def test_weights_are_computed_in_what_the_documentation_says(device: Device, row: str) -> None:
    assert [resolve("default", saved, device).compute_type for saved in _COLUMNS] == row.split()
    for saved in _COLUMNS:
        found = resolve("default", saved, device)
        assert (found.why is None) == (found.compute_type == saved)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float64", "auto", "cuda", "name", ""])
@pytest.mark.parametrize("quantization", [None, "int8"])
def test_of_a_type_that_it_has_not_nothing_is_told(dtype: str, quantization: str | None) -> None:
    """config.json says any word."""
    saved = saved_type(quantization, ModelFacts(dtype=dtype))
    for device in (_INTEL, gpu("7.5", {})):
        found = resolve("default", saved, device)
        assert (found.compute_type, found.why) == (None, "deployer.lock does not say which type the weights have")


def test_a_reason_names_what_is_lacking() -> None:
    assert resolve("default", "int8_float16", _INTEL).why == "this CPU has no fast float16"
    assert resolve("default", "int8_float16", gpu("6.0", {})).why == (
        "this GPU (compute capability 6.0) has no fast int8 and no fast float16"
    )


def test_what_is_asked_for_by_name_is_had_or_refused() -> None:
    assert resolve("int8", "bfloat16", gpu("8.0", {})).compute_type == "int8_bfloat16"
    assert resolve("int8", "bfloat16", _INTEL).compute_type == "int8_float32"
    assert resolve("auto", "float32", gpu("8.0", {})).compute_type == "int8_float16"
    assert resolve("auto", None, _AMD).compute_type == "int8_float32"
    for asked, device in (("float16", _INTEL), ("int16", _AMD), ("bfloat16", gpu("7.5", {})), ("int8", gpu("6.0", {}))):
        found = resolve(asked, "float32", device)
        assert (found.compute_type, found.refused) == (None, True)


def test_what_nobody_knows_is_not_guessed() -> None:
    unknown = cpu("x86_64", None, {})
    assert resolve("default", "int16", unknown).compute_type is None
    assert not resolve("int16", "float32", unknown).refused
    assert resolve("default", "int8_float16", unknown).compute_type == "int8_float32"
    assert resolve("default", None, unknown).compute_type is None
    assert resolve("default", "int16", cpu("x86_64", None, {"CT2_USE_MKL": "1"})).compute_type == "int16"


def test_plain_int8_keeps_the_type_of_the_rest() -> None:
    assert saved_type("int8", ModelFacts(dtype="bfloat16")) == "int8_bfloat16"
    assert saved_type(None, ModelFacts(tensors=(("F32", 100), ("I64", 5)))) == "float32"
    assert saved_type("int8_float16", ModelFacts()) == "int8_float16"
    assert saved_type("int8", ModelFacts()) is None


def test_the_weakest_of_several_gpus_and_awq() -> None:
    spec = deployment("ctranslate2", {"compute_type": "bfloat16", "device": "cuda"})
    found = computes(spec, model(), Machine("x86_64", None, ("9.0", "7.0")))
    assert found is not None
    assert found.refused
    assert found.setting == ("engine", "ctranslate2", "compute_type")
    awq = computes(deployment("ctranslate2", {"device": "cuda"}), model(quantization="awq"), Machine("x86_64", None, ("8.0",)))
    assert awq is not None
    assert awq.type == "float16"
    assert computes(deployment("vllm"), model(), Machine("x86_64", None)) is None


class _BFloat16(model_spec.NumpyVariable):
    """The upper halves of float32: the converter has torch for it."""

    dtype = "bfloat16"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__((np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16))


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = model_spec.NumpyVariable._to
    monkeypatch.setattr(
        model_spec.NumpyVariable, "_to", lambda self, to: _BFloat16(self.array) if to == "bfloat16" else plain(self, to)
    )


@pytest.mark.usefixtures("without_torch")
def test_every_quantization_computes_here_in_what_the_plan_says(tmp_path: Path) -> None:
    """The same word from the plan and from the engine's own mouth, for the tiny model on this machine's CPU."""
    from tests.serve.bert import convert, tiny

    source = tiny(tmp_path / "source")
    vendor = re.search(r"^vendor_id\s*:\s*(\S+)", Path("/proc/cpuinfo").read_text(), re.M)
    machine = Machine(platform.machine(), vendor and vendor.group(1))
    locked = model(architectures=("BertModel",), dtype="float32")
    told: dict[str, Any] = {}
    for quantization in COMPUTE_TYPES:
        made = convert(source, tmp_path / quantization, quantization)
        found = computes(deployment("ctranslate2", {"quantization": quantization, "pooling": "mean"}), locked, machine)
        assert isinstance(found, Computes)
        engine = open_engine("Encoder", Config(str(made), ("tiny",), 0, kind="encoder", intra_threads=1))
        told[quantization] = (found.type, engine.compute_type)
        assert found.asked == ("int8_float32" if quantization == "int8" else quantization)
    assert {name: planned for name, (planned, _) in told.items()} == {name: real for name, (_, real) in told.items()}
    assert set(told) == set(COMPUTE_TYPES)
    able = ctranslate2.get_supported_compute_types("cpu")
    for asked in COMPUTE_TYPES:  # and what is asked for by name: the plan refuses what the engine would not do
        found = computes(deployment("ctranslate2", {"compute_type": asked}), locked, machine)
        assert isinstance(found, Computes)
        assert found.refused == (asked not in able), asked
