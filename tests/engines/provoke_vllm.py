"""Makes vLLM fail in twenty ways and writes what it said: `PYTHON-OF-A-VLLM-ENVIRONMENT tests/engines/provoke_vllm.py TARGET`.

TARGET is tests/engines/provoked.vllm.txt, which test_failures reads; causes that are there already stay beside their names.
Needs no GPU: what fails is the reading of arguments, configuration, adapters and files, and the check of the cache.
"""

import contextlib
import ctypes
import io
import json
import os
import shutil
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODEL = Path(__file__).parents[2] / "models" / "tiny-chat"
SCRATCH = Path(tempfile.mkdtemp())
GIB = 1 << 30


def variant(name: str, *without: str, **config: Any) -> str:
    """A copy of the model with other words in its config.json."""
    folder = SCRATCH / name
    shutil.copytree(MODEL, folder)
    said = {**json.loads((folder / "config.json").read_text()), **config}
    (folder / "config.json").write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    for file in without:
        (folder / file).unlink()
    return str(folder)


def parsed(*words: str) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            AsyncEngineArgs.add_cli_args(FlexibleArgumentParser(prog="vllm")).parse_args(list(words))
    except SystemExit:
        raise RuntimeError(said.getvalue().strip().splitlines()[-1]) from None


def configured(**settings: Any) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    usual = {"model": str(MODEL), "dtype": "float32", "max_model_len": 512, "enforce_eager": True}
    AsyncEngineArgs(**{**usual, **settings}).create_engine_config()


def cache(there: int) -> None:
    from vllm.v1.core.kv_cache_utils import _check_enough_kv_cache_memory

    _check_enough_kv_cache_memory(there, lambda: 2 * GIB, 16384, lambda room: 8192)


def adapter() -> None:
    from vllm.config.lora import LoRAConfig
    from vllm.lora.peft_helper import PEFTHelper

    said = {"r": 64, "lora_alpha": 64, "target_modules": ["q_proj"]}
    PEFTHelper.from_dict(said).validate_legal(LoRAConfig(max_lora_rank=16, max_loras=1))


def cut_off() -> None:
    import safetensors

    file = Path(variant("cut")) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100_000])
    with safetensors.safe_open(str(file), "pt"):
        pass


def tokenizer() -> None:
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(variant("tokenizer", "tokenizer.json", "tokenizer_config.json"))


def weights() -> None:
    from vllm.config.load import LoadConfig
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

    DefaultModelLoader(LoadConfig())._prepare_weights(variant("weights", "model.safetensors"), None, None, True, None)


def port() -> None:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        one.listen()
        other.bind(one.getsockname())


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
CASES: dict[str, Callable[[], Any]] = {
    "unknown flag": lambda: parsed("--swap-space", "4"),
    "wrong value": lambda: parsed("--dtype", "bf"),
    "heads": lambda: configured(tensor_parallel_size=3),
    "context": lambda: configured(max_model_len=99999),
    "unknown quantization": lambda: configured(quantization="bogus"),
    "another quantization": lambda: configured(model=variant("awq", quantization_config=AWQ), quantization="gptq"),
    "not quantized": lambda: configured(quantization="awq"),
    "architecture": lambda: configured(model=variant("arch", architectures=["FooForCausalLM"])),
    "model type": lambda: configured(model=variant("type", model_type="foo")),
    "no model type": lambda: configured(model=variant("untyped", model_type=None, architectures=None)),
    "code of its own": lambda: configured(model=variant("code", model_type="foo", auto_map={"AutoConfig": "conf.FooConfig"})),
    "no folder": lambda: configured(model=str(SCRATCH / "missing")),
    "adapter's rank": adapter,
    "cut-off weights": cut_off,
    "no tokenizer": tokenizer,
    "no weights": weights,
    "port": port,
    "cache": lambda: cache(GIB),
    "no cache": lambda: cache(0),
    "library": lambda: ctypes.CDLL("libnuma-none.so.9"),
}


def provoked(case: Callable[[], Any]) -> list[str]:
    """The exception, and those that it came of before it; without the frames, which name files of this machine."""
    try:
        case()
    except BaseException as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
        chain: list[str] = []
        found: BaseException | None = error
        while found is not None:
            chain = [*"".join(traceback.format_exception_only(found)).splitlines(), *chain]
            found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
        lines = [line[:300].rstrip().replace(str(SCRATCH), "/m").replace(str(MODEL), "/m/tiny") for line in chain]
        return [line for line in lines if line][-12:]
    return []


def known_causes(target: Path) -> dict[str, str]:
    blocks = target.read_text().split("\n\n") if target.exists() else []
    named = [(block.splitlines()[0], [line for line in block.splitlines() if line.startswith("= ")]) for block in blocks]
    return {head.removeprefix("# "): causes[0] for head, causes in named if causes}


def main(target: Path) -> None:
    os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_CPU_KVCACHE_SPACE="1")
    causes = known_causes(target)
    blocks = ["\n".join([f"# {name}", *provoked(case), causes.get(name, "= ")]) for name, case in CASES.items()]
    target.write_text("\n\n".join(blocks) + "\n")
    shutil.rmtree(SCRATCH)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
