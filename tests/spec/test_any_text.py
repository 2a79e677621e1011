"""Whatever stands in the files, loading ends with a fleet or with SpecError, and what it says can be shown."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.errors import SpecError
from deployer.spec.load import load_fleet
from deployer.spec.problems import render
from tests.spec.fleets import DEPLOYMENT, FLEET, HOST, SETTINGS

WORDS = """
name model repo path token env file command engine vllm ctranslate2 version args endpoint keys secret sha256 placement hosts
labels gpus replicas extends ../defaults/a.yaml defaults chat gpu-01 jump address connection local ports 20000-20999 10s 64GiB
true on 1.10 0 -1 null ~ x@y previous_names required_version
"""
MARKS = [
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "\n- ",
    "\n  - ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "!!int ",
    "#",
    '"',
    "'",
    "|\n",
    "---\n",
]
MORE_MARKS = ["<<: ", "? ", "\t", "\\0", "\x85", "\u2028", "\ufeff", "\x7f"]
SOUP = st.lists(st.sampled_from([*WORDS.split(), *MARKS, *MORE_MARKS]), max_size=25).map("".join)
TEXT = st.one_of(SOUP, st.text(max_size=30).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))


def problems_of(root):
    """None when it loads."""
    try:
        load_fleet(root, SETTINGS)
    except SpecError as error:
        return error.problems
    return None


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.sampled_from(["deployer.yaml", "hosts/a.yaml", "deployments/a.yaml", "defaults/a.yaml", "catalog/a.yaml"]),
    text=TEXT,
    after=st.booleans(),
)
def test_any_text_in_any_file_is_a_fleet_or_problems(write, which, text, after):
    files = {
        "hosts/a.yaml": HOST,
        "deployments/a.yaml": DEPLOYMENT + "extends: ../defaults/a.yaml\n",
        "defaults/a.yaml": "tags: []\n",
        "catalog/a.yaml": "name: a\nabout: b\nkind: chat\nrepo: o/a\nengines: {vllm: {}}\n",
        "deployer.yaml": FLEET,
    }
    files[which] = files[which] + text if after else text
    root = write(files)
    problems = problems_of(root)
    if problems is not None:
        assert problems
        assert all(c == "\n" or c.isprintable() for c in render(problems))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=40))
def test_any_bytes_are_a_fleet_or_problems(write, raw):
    root = write({"deployments/a.yaml": ""})
    (root / "deployments" / "a.yaml").write_bytes(raw)
    with pytest.raises(SpecError) as caught:
        load_fleet(root, SETTINGS)
    render(caught.value.problems)
