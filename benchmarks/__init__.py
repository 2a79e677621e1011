"""Benchmarks: each prints a ratio against a peer or a limit that was measured in the same run. `script/bench` runs all."""
