"""An OpenAI-compatible server for engines that have none; runs on the host, inside the engine's environment."""
