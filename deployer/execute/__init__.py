"""Effects in order: probe hosts, run a plan, follow it."""
