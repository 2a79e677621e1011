"""Effects in order: probe, apply, attach, logs. Called by app; talks to hosts through transport only."""
