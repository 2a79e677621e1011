"""The use-cases: what the front ends and Python programs call. The only place that wires the stages together."""
