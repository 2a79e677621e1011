"""API keys are written into the YAML without moving anything else in it."""

import pytest
import yaml

from deployer.app.keyfile import add_key, remove_key

BLOCK = """\
name: chat  # the name
endpoint:
  # who may ask
  keys:
    - name: team-a
      sha256: aa
    # the other team
    - {name: team-b, sha256: bb}

  timeout: 60s
# the end
"""
FLOW = "name: chat\nendpoint: {keys: [{name: team-a, sha256: aa}], timeout: 60s}  # short\n"


def keys(text: str) -> list[str]:
    return [key["name"] for key in yaml.safe_load(text)["endpoint"]["keys"]]


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        FLOW,
        "name: chat\n",
        "name: chat",
        "name: chat\nendpoint:\n  timeout: 60s  # slow\n",
        "name: chat\nendpoint: {timeout: 60s}\n",
        "name: chat\nendpoint: {}\n",
        "name: chat\nendpoint: {keys: []}\n",
        "endpoint:\n  keys:\n  - {name: a, sha256: aa}",
    ],
)
def test_a_key_is_added_and_every_other_line_stays(text: str) -> None:
    edited = add_key(text, "new", "cc")
    assert edited is not None
    assert keys(edited)[-1] == "new"
    for line in text.splitlines():
        comment = line.partition("#")[2]
        assert comment in edited
    taken = remove_key(edited, "new")
    assert taken is not None
    assert (yaml.safe_load(taken).get("endpoint") or {}).get("keys") in (
        None, [], (yaml.safe_load(text).get("endpoint") or {}).get("keys")
    )  # fmt: skip


def test_only_the_named_key_is_removed_and_comments_stay() -> None:
    edited = remove_key(BLOCK, "team-a")
    assert edited is not None
    assert keys(edited) == ["team-b"]
    assert "# the other team" in edited
    assert "# who may ask" in edited


def test_removing_from_a_flow_list_leaves_a_list() -> None:
    both = add_key(FLOW, "team-b", "bb")
    assert both is not None
    assert keys(str(remove_key(both, "team-a"))) == ["team-b"]
    assert keys(str(remove_key(both, "team-b"))) == ["team-a"]


def test_what_a_line_edit_cannot_follow_is_left_alone() -> None:
    assert add_key("name: chat\nendpoint: *there\n", "new", "cc") is None
    assert add_key("- a list\n", "new", "cc") is None
    assert remove_key("name: chat\n", "team-a") is None
    assert remove_key(BLOCK, "nobody") is None
