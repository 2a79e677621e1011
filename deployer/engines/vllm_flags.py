"""The options of `vllm serve` as its parser states them, so that a wrong one is found before anything moves. Data only;
read by engines.vllm_args. Taken from vLLM 0.32.0; what 0.33 added is below.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Flag:
    """`kind`: "switch" (has --no-NAME), "true" (can only be switched on), "int", "float", "size" (1k, 2G), "json", "text".

    `many`: takes a list. `choices`: empty when anything of the kind goes.
    """

    kind: str
    many: bool = False
    choices: tuple[str, ...] = ()


#: Versions whose options are known, and the one that a newer version is compared with.
KNOWN = ("0.32", "0.33")

_KINDS = """\
switch: allow-credentials allow-deprecated-quantization async-scheduling cohere-is-reasoning-model cudagraph-metrics
    data-parallel-external-lb data-parallel-hybrid-lb dcp-q-replicate disable-cascade-attn disable-chunked-mm-input
    disable-custom-all-reduce disable-fastapi-docs disable-hybrid-kv-cache-manager disable-nccl-for-dp-synchronization
    disable-sliding-window disable-uvicorn-access-log enable-auto-tool-choice enable-batch-sharded-sampling
    enable-chunked-prefill enable-cumem-allocator enable-dbo enable-elastic-ep enable-ep-weight-filter enable-eplb
    enable-expert-parallel enable-fault-tolerance enable-flash-late-interaction enable-flashinfer-autotune
    enable-force-include-usage enable-hc-sp enable-layerwise-nvtx-tracing enable-log-deltas enable-log-outputs
    enable-log-requests enable-logging-iteration-details enable-lora enable-mamba-cache-stochastic-rounding
    enable-mamba-shared-prefix-checkpoint enable-mfu-metrics enable-mixed-moe-lora-format enable-mm-embeds
    enable-moe-shared-loras enable-nccl-comm-suspend enable-offline-docs enable-per-request-metrics enable-prefix-caching
    enable-prompt-embeds enable-prompt-tokens-details enable-request-id-headers enable-return-routed-experts enable-scale-out
    enable-server-load-tracking enable-shm-tensor-arena enable-sleep-mode enable-ssl-refresh enable-tokenizer-info-endpoint
    enable-tower-connector-lora enable-trace-replay enforce-eager exclude-tools-when-tool-choice-none fail-on-environ-validation
    fully-sharded-loras interleave-mm-strings jit-monitor-verbose kv-cache-metrics kv-sharing-fast-prefill language-model-only
    log-error-stack long-prefill-token-threshold-adaptive mm-device-do-normalize mm-encoder-only numa-bind
    ray-workers-use-nsight return-sampling-mask return-tokens-as-token-ids scheduler-reserve-full-isl skip-mm-profiling
    skip-tokenizer-init sleep-mode-offload-cudagraph specialize-active-lora swa-bounded-replay tokens-only trust-remote-code
    trust-request-chat-template trust-request-mm-kwargs use-fp64-gumbel use-replayssm use-tqdm-on-load
true: aggregate-engine-logging data-parallel-multi-port-external-lb disable-log-stats grpc headless
int: api-server-count block-size cp-kv-cache-interleave-size data-parallel-rank data-parallel-rpc-port data-parallel-size
    data-parallel-size-local data-parallel-start-rank data-parallel-supervisor-port dbo-decode-token-threshold
    dbo-prefill-token-threshold dcp-kv-cache-interleave-size decode-context-parallel-size dp-supervisor-probe-failure-threshold
    dp-sync-interval elastic-ep-max-dp-size h11-max-header-count h11-max-incomplete-event-size long-prefill-token-threshold
    mamba-cache-philox-rounds master-port max-cudagraph-capture-size max-logprobs max-loras max-num-seqs
    mm-shm-cache-max-object-size-mb nnodes node-rank offload-group-size offload-num-in-group offload-prefetch-step
    pipeline-parallel-size port prefill-context-parallel-size prefill-schedule-interval renderer-num-workers
    replayssm-buffer-len safetensors-prefetch-num-threads seed shutdown-timeout spec-tokens sse-keep-alive-interval
    ssl-cert-reqs stream-interval tensor-parallel-size ubatch-size
float: cpu-offload-gb dp-supervisor-probe-interval-s dp-supervisor-probe-timeout-s gpu-memory-utilization
    kv-cache-metrics-sample mm-encoder-fp8-scale-save-margin mm-ipc-gpu-memory-gb mm-processor-cache-gb watermark
size: max-model-len max-num-batched-tokens safetensors-prefetch-block-size
json: additional-config allowed-headers allowed-methods allowed-origins attention-config aux-output-config compilation-config
    default-chat-template-kwargs ec-manager-config eplb-config fault-tolerance-config hf-overrides ir-op-priority kernel-config
    limit-mm-per-prompt logging-config media-io-kwargs model-class-overrides model-loader-extra-config
    override-generation-config profiler-config pt-load-map-location structured-outputs-config
text: allowed-local-media-path attention-backend chat-template code-revision cohere-format config config-format
    cpu-distributed-timeout-seconds custom-histogram-buckets data-parallel-address data-parallel-backend default-mm-loras
    device-ids diffusion-config disable-access-log-for-endpoints distributed-executor-backend distributed-timeout-seconds
    download-dir ec-transfer-config engram-config fingerprint-value generation-config grpc-port hf-config-path hf-token host
    io-processor-plugin kv-cache-memory-bytes kv-events-config kv-offloading-size kv-transfer-config load-format log-config-file
    mamba-backend mamba-block-size master-addr max-cpu-loras max-log-len max-lora-cls-labels max-num-active-seqs
    max-num-queued-reqs max-num-queued-tokens max-num-scheduled-tokens max-parallel-loading-workers mm-encoder-attn-backend
    mm-encoder-fp8-scale-path mm-encoder-fp8-scale-save-path mm-processor-kwargs model model-impl num-gpu-blocks-override
    optimization-level otlp-traces-endpoint pooler-config prefix-cache-retention-interval prefix-match-unit quantization
    quantization-config reasoning-config reasoning-parser reasoning-parser-plugin response-role revision root-path scheduler-cls
    show-hidden-metrics-for-version spec-model speculative-config ssl-ca-certs ssl-certfile ssl-ciphers ssl-keyfile tokenizer
    tokenizer-mode tokenizer-revision tool-call-parser tool-parser-plugin tool-server uds video-pruning-rate watermark-config
    weight-transfer-config worker-cls worker-extension-cls
text+: allowed-media-domains api-key cpu-offload-params ignore-patterns kv-cache-dtype-skip-layers logits-processors
    lora-modules lora-target-modules middleware numa-bind-cpus numa-bind-nodes offload-params served-model-name
    sleep-preserve-parameter-names
int+: cudagraph-capture-sizes
"""

_CHOICES = """\
all2all-backend: allgather_reducescatter deepep_high_throughput deepep_low_latency deepep_v2 flashinfer_all2allv
    flashinfer_nvlink_one_sided flashinfer_nvlink_two_sided moonep mori_high_throughput mori_low_latency naive nixl_ep pplx
anthropic-disabled-thinking-effort: auto high low max medium none xhigh
chat-template-content-format: auto openai string
collect-detailed-traces: all model worker None +
convert: auto classify embed none
dcp-comm-backend: a2a ag_rs None
dtype: auto bfloat16 float float16 float32 half
expert-placement-strategy: linear round_robin
fingerprint-mode: custom full hash none
gdn-prefill-backend: flashinfer triton cutedsl aiter_flydsl
jit-monitor-mode: error warn
kda-decode-backend: auto native flashinfer triton
kda-prefill-backend: auto triton flashkda flashinfer fused
kv-cache-dtype: auto bfloat16 float16 fp8 fp8_ds_mla fp8_e4m3 fp8_e5m2 fp8_inc fp8_per_token_head int4_per_token_head
    int8_per_token_head nvfp4 nvfp4_4over6 nvfp4_ds_mla turboquant_3bit_nc turboquant_4bit_nc turboquant_k3v4_nc turboquant_k8v4
    ultraquant_4bit
kv-offloading-backend: lmcache native
linear-backend: aiter auto b12x conch cutlass deep_gemm emulation exllama fbgemm flashinfer_b12x flashinfer_cudnn
    flashinfer_cutedsl flashinfer_cutlass flashinfer_trtllm humming machete marlin torch triton xpu xpu_woq
log-level: CRITICAL ERROR WARNING INFO DEBUG NOTSET
logprobs-mode: processed_logits processed_logprobs raw_logits raw_logprobs
lora-dtype: auto bfloat16 float16
mamba-cache-dtype: auto bfloat16 float16 float32
mamba-cache-mode: align none
mamba-ssm-cache-dtype: auto bfloat16 float16 float32
mamba-ssu-algorithm: auto horizontal simple vertical None
max-lora-rank: 1 8 16 32 64 128 256 320 512
mm-encoder-attn-dtype: fp8 None
mm-encoder-tp-mode: data weights
mm-hasher-algorithm: blake3 sha256 sha512
mm-processor-cache-type: lru shm
mm-processor-device: auto cpu
mm-tensor-ipc: direct_rpc torch_shm
moe-backend: aiter aiter_mega_moe aiter_triton_mxfp4_bf16 auto b12x batched_triton cutlass deep_gemm deep_gemm_mega_moe
    emulation flashinfer_b12x flashinfer_cutedsl flashinfer_cutlass flashinfer_moe_ep_cutedsl flashinfer_moe_ep_mega_deep_gemm
    flashinfer_trtllm flydsl hpc humming marlin rdna3 triton triton_unfused
offload-backend: auto prefetch uva
per-request-spec-decode-metrics: detailed none summary
performance-mode: balanced interactivity throughput
prefix-caching-hash-algo: sha256 sha256_cbor xxhash xxhash_cbor
runner: auto draft generate pooling
safetensors-load-strategy: eager lazy prefetch torchao None
scheduling-policy: fcfs priority
sparse-indexer-topk-backend: aiter auto cooperative deep_select flashinfer per_row persistent torch
spec-method: bailing_hybrid_mtp bailing_hybrid_v3_mtp custom_class deepseek_mtp dflash dots3_note_mtp draft_model dspark eagle
    eagle3 ernie_mtp exaone4_5_mtp exaone_moe_mtp extract_hidden_states gemma4_mtp glm4_moe_lite_mtp glm4_moe_mtp glm5_next_mtp
    glm_ocr_mtp hy_v3_mtp hy_v4_mtp inkling_mtp kimi_k3_mtp longcat_flash_mtp medusa mimo_mtp mimo_v2_mtp minimax_m3_mtp
    mlp_speculator mtp nemotron_h_mtp ngram ngram_gpu pangu_ultra_moe_mtp qwen3_5_mtp qwen3_next_mtp qwen4_exp_mtp step3p5_mtp
    suffix None
tool-strict-level: auto function parameter
uvicorn-log-level: critical debug error info trace warning
video-pruning-method: evs vidcom2
"""

_ADDED_0_33 = {
    "monokernel": Flag("text"),
    "sleep-mode-backend": Flag("text"),
    "watchdog-config": Flag("json"),
    "reasoning-effort-map": Flag("json"),
}

#: Other spellings of one option.
ALIASES = {"device-memory-utilization": "gpu-memory-utilization"}


@cache
def flags(version: str) -> Mapping[str, Flag]:
    """By name without dashes before it. `version` is "0.32" or newer; the newest known ones stand for what is newer."""
    found: dict[str, Flag] = {}
    for kind, names in _rows(_KINDS):
        found |= {name: Flag(kind.rstrip("+"), many=kind.endswith("+")) for name in names}
    for name, values in _rows(_CHOICES):
        found[name] = Flag("text", many="+" in values, choices=tuple(v for v in values if v != "+"))
    if version != "0.32":
        found |= _ADDED_0_33
        del found["log-config-file"]
    return found


def _rows(table: str) -> list[tuple[str, list[str]]]:
    joined = table.replace("\n    ", " ")
    return [(head, rest.split()) for head, _, rest in (line.partition(":") for line in joined.splitlines())]
