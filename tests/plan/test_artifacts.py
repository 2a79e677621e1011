"""Which locked model a deployment stands on."""

import pytest

from deployer.plan.artifacts import locked_model, model_need
from deployer.spec.models import ModelSpec
from deployer.state.locked import Locked, LockedModel
from tests.plan.worlds import deployment


@pytest.mark.parametrize(
    "model",
    [
        ModelSpec(repo="org/name"),
        ModelSpec(repo="org/name", revision="v2"),
        ModelSpec(repo="org/name-gguf", file="name-q4.gguf"),
        ModelSpec(path="models/tiny"),
    ],
    ids=["a repository", "a revision", "one file of a repository", "a folder"],
)
def test_the_lock_is_asked_for_what_it_was_made_from(model: ModelSpec) -> None:
    spec = deployment(model=model)
    mine, other = (LockedModel(key, "hub", key, None, None, "d" * 64) for key in (model_need(spec).key, "hub:org/name@other"))
    assert locked_model(Locked({mine.key: mine, other.key: other}), spec) is mine


def test_a_model_that_lies_on_the_host_is_in_no_lock() -> None:
    assert locked_model(Locked(), deployment(model=ModelSpec(host_path="/srv/models/x"))) is None
