"""What engines say of memory when they start, against lines of theirs."""

import pytest

from deployer.agent.figures import Figures
from deployer.engines import llamacpp_logs, vllm_logs
from deployer.engines.base import Figure

GIB, MIB = 1 << 30, 1 << 20
VLLM = """\
INFO [gpu_model_runner.py:5150] Model loading took 14.99 GiB memory and 3.218441 seconds
INFO [gpu_worker.py:760] Available KV cache memory: 3.81 GiB
INFO [kv_cache_utils.py:2327] GPU KV cache size: 31,232 tokens, Maximum concurrency for 20,000 tokens per request: 1.56x
"""
VLLM_TWO = """\
(Worker_TP0 pid=1) INFO [gpu_model_runner.py:5150] Model loading took 7.48 GiB memory and 3.2 seconds
(Worker_TP1 pid=2) INFO [gpu_model_runner.py:5150] Model loading took 7.51 GiB memory and 3.2 seconds
(Worker_TP0 pid=1) INFO [gpu_worker.py:760] Available KV cache memory: 12.50 GiB
(Worker_TP1 pid=2) INFO [gpu_worker.py:760] Available KV cache memory: 12.25 GiB
"""
VLLM_CPU = """\
(Worker pid=5712) INFO 11-21 13:44:36 [cpu_worker.py:260] Explicitly set (1.0/23.54) GiB for KV cache on node 0.
INFO [kv_cache_utils.py:2327] CPU KV cache size: 699,008 tokens, Maximum concurrency for 512 tokens per request: 1365.25x
"""
# build 11434 with models/tiny-chat, LLAMA_ARG_LOG_VERBOSITY=4, four slots of 512 tokens
LLAMACPP = """\
0.00.316.317 I load_tensors:   CPU_Mapped model buffer size =     6.63 MiB
0.00.316.498 I llama_context:        CPU  output buffer size =     0.02 MiB
0.00.316.555 I llama_kv_cache:        CPU KV buffer size =     3.00 MiB
0.00.319.673 I llama_kv_cache: size =    3.00 MiB (   512 cells,   3 layers,  4/4 seqs), K (f16): 1.50 MiB, V (f16): 1.50 MiB
0.00.323.467 I sched_reserve:        CPU compute buffer size =     5.27 MiB
"""


@pytest.mark.parametrize(
    ("figures", "log", "said"),
    [
        (vllm_logs.FIGURES, VLLM, {"weights": 14.99 * GIB, "cache": 3.81 * GIB, "tokens": 31232, "concurrency": 1.56}),
        (vllm_logs.FIGURES, VLLM_TWO, {"weights": 7.51 * GIB, "cache": 12.25 * GIB}),
        (vllm_logs.FIGURES, VLLM_CPU, {"cache": GIB, "tokens": 699_008, "concurrency": 1365.25}),
        (llamacpp_logs.FIGURES, LLAMACPP, {"weights": 6.63 * MIB, "cache": 3 * MIB, "overhead": 5.29 * MIB}),
    ],
)
def test_a_log_as_figures(figures: tuple[Figure, ...], log: str, said: dict[str, float]) -> None:
    found = Figures([one.as_json() for one in figures])
    for line in log.splitlines():
        found.take(line)
    assert found.found() == pytest.approx(said, abs=1)
