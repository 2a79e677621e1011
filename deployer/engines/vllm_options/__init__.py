"""The tables of options there are, one module each; written by `deployer engines sync`, read by engines.vllm_flags."""

VERSIONS = ("0.30", "0.31", "0.32", "0.33")
