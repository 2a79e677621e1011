"""A hub without the internet, for tests, the lab and the demo: it answers the API that huggingface_hub uses, for a folder of
repositories (ROOT/<org>/<name>/<branch or tag>/<files>), and can misbehave on demand.

    with LocalHub(root, gated={"org/secret"}) as hub: ...HF_ENDPOINT = hub.url      in tests (fixture: tests/hub/fixture.py)
    python -m tests.hub --root DIR --port 8230 --host 10.1.2.1                      as a process
"""

from tests.hub.options import HubOptions
from tests.hub.server import LocalHub

__all__ = ["HubOptions", "LocalHub"]
