"""Options of an engine's server, read from its source text: nothing of it is imported or run."""
