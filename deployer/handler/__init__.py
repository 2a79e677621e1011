"""What stands in front of an engine on the replica's port: the user's transformer and predictor scripts, and the request log.

Imports nothing of ours but itself: it travels as one archive (`transport/serve_archive.py`) and is started by the unit from
an environment of its own, in which aiohttp and the packages of the user's requirements are.
"""
