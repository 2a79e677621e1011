"""`drift: ignore:` of deployer.yaml: what is read, and what is refused."""

import pytest

from deployer.errors import SpecError
from tests.spec.fleets import FLEET, HOST

RULES = FLEET + "drift:\n  ignore:\n"


def problems(load, rule):
    with pytest.raises(SpecError) as found:
        load({"deployer.yaml": RULES + f"    - {rule}\n", "hosts/a.yaml": HOST})
    return [(p.line - FLEET.count("\n"), p.message) for p in found.value.problems]


def test_a_rule_is_read_with_its_place(load):
    loaded = load({"deployer.yaml": RULES + '    - {host: gpu-01, what: "* has a drop-in: x"}\n', "hosts/a.yaml": HOST})
    (rule,) = loaded.fleet.drift.ignore
    assert (rule.host, rule.deployment, rule.what) == ("gpu-01", None, "* has a drop-in: x")
    place = loaded.positions.of("deployer", "drift", "ignore", 0)
    assert place is not None
    assert (place.file, place.line) == ("deployer.yaml", FLEET.count("\n") + 3)


def test_a_rule_that_fits_everything_is_refused(load):
    assert problems(load, "{}") == [(3, "drift.ignore[0] needs host, deployment or what")]


def test_a_host_that_is_not_there_is_said(load):
    assert problems(load, "{host: gpu-09}") == [(3, "there is no host 'gpu-09'")]
