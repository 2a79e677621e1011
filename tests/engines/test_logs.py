"""What the log of a start is read by: a record names it, and what is known today is what counts."""

from deployer.engines import ENGINES
from deployer.engines.logs import named, of, patterns
from deployer.spec.models import Placement
from deployer.spec.requestlog import Logging
from tests.engines.builders import deployment


def test_a_deployment_names_its_engine_its_share_and_the_handler_before_it() -> None:
    assert named(deployment("vllm")) == ["vllm"]
    both = deployment("vllm", placement=Placement(gpu_share="35%"), logging=Logging(requests="metadata"))
    assert named(both) == ["vllm", "shared", "handler"]


def test_both_write_to_one_log_and_a_script_that_failed_is_looked_for_first() -> None:
    alone, behind = of(["ctranslate2"]), of(["ctranslate2", "handler"])
    assert alone == ENGINES["ctranslate2"].log
    assert behind.failures[0].cause.startswith("the {role} script failed")
    assert set(alone.failures) < set(behind.failures)
    assert set(alone.phases) < set(behind.phases)


def test_of_an_engine_that_is_known_no_more_nothing_is_known() -> None:
    assert patterns(("an engine of before",)) == patterns(()) == {"phases": [], "failures": []}
