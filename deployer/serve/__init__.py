"""An OpenAI-compatible server for engines that have none; runs on the host, inside the engine's environment.

Imports nothing of ours but itself, and works with Python 3.9: it travels as one archive (`transport/serve_archive.py`).
"""
