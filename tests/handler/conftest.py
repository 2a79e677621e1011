"""Handlers that several tests share: a process takes longer to start than a test to run."""

import pytest

from tests.handler.process import Handler

TRANSFORMER = """
class Transformer:
    def load(self):
        import os
        self.name = os.environ["DEPLOYMENT_NAME"] + "/" + os.environ["REVISION"] + " " + os.environ["MOOD"]
    def preprocess(self, request):
        text = request["messages"][-1]["content"]
        if text == "forbidden":
            error = ValueError("this word is not for here")
            error.status = 422
            raise error
        if text == "broken":
            raise KeyError("poison in the script")
        request["messages"][-1]["content"] = text + " please"
        return request
    async def postprocess(self, response, request):
        response["choices"][0]["message"]["content"] += "! " + self.name + request.path
        return response
"""
CHUNKS = """
class Transformer:
    def postprocess_chunk(self, chunk, request):
        for choice in chunk["choices"]:
            if choice["delta"].get("content") == " bad":
                raise ValueError("mid stream")
            choice["delta"]["content"] = choice["delta"].get("content", "").upper()
        return chunk
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    handler = Handler(tmp_path_factory.mktemp("plain")).wait_ready()
    yield handler
    handler.end()


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transformed")
    (folder / "t.py").write_text(TRANSFORMER)
    handler = Handler(folder, transformer="t.py", env={"MOOD": "calm"}).wait_ready()
    yield handler
    handler.end()
