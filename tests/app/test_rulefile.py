"""The edit that adds a rule to deployer.yaml: comments stay, the fleet loads with it, or it is refused with what to write."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployer.app import checking
from deployer.app.rulefile import ignore
from deployer.errors import SpecError, UsageError

HEAD = '# ours\nid: "0123abcd"   # made once\nname: acme\n'
WHAT = "/etc/deployer/acme/chat/args.json was changed"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts/h1.yaml").write_text("name: h1\naddress: 192.0.2.1\n")
    return tmp_path


def fleet(root: Path, text: str) -> Path:
    (root / "deployer.yaml").write_text(text)
    return root


FORMS = {
    "nothing yet": HEAD,
    "no line end": HEAD.rstrip(),
    "an empty section": HEAD + "drift:   # soon\n",
    "a block": HEAD + "drift:\n  ignore:   # why\n    - {host: h1}   # it is odd\n    # last\ngateway: {port: 9000}   # here\n",
    "a flow": HEAD + "drift: {ignore: [{host: h1}]}   # short\ngateway: {port: 9000}\n",
    "an empty flow": HEAD + "drift: {}\ngateway: {port: 9000}\n",
    "an empty list": HEAD + "drift: {ignore: []}\n",
    "long items": HEAD + "drift:\n  ignore:\n    - host: h1\n      what: '*x'\n\n# end\n",
}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "an empty section"])
def test_the_rule_is_added_and_every_other_line_stays(root: Path, form: str) -> None:
    edit = ignore(fleet(root, FORMS[form]), "h1", "chat", WHAT)
    assert (root / "deployer.yaml").read_text() == FORMS[form]
    edit.write()
    rule = checking.load(root).fleet.drift.ignore[-1]
    assert (rule.host, rule.deployment, rule.what) == ("h1", "chat", WHAT)
    kept = [line for line in edit.diff() if line.startswith("-") and not line.startswith("---")]
    assert len(kept) <= 1, kept
    assert all(word in edit.after for word in ("# ours", "# made once"))
    before, after = yaml.safe_load(FORMS[form]), yaml.safe_load(edit.after)
    assert {k: v for k, v in before.items() if k != "drift"} == {k: v for k, v in after.items() if k != "drift"}


def test_comments_within_the_section_stay(root: Path) -> None:
    edit = ignore(fleet(root, FORMS["a block"]), "h1", None, WHAT)
    lines = FORMS["a block"].splitlines()
    assert [line for line in edit.after.splitlines() if line in lines] == lines


def test_what_it_cannot_follow_is_left_alone_and_says_what_to_write(root: Path) -> None:
    fleet(root, FORMS["an empty section"])
    with pytest.raises(UsageError, match="cannot be edited here") as found:
        ignore(root, "h1", "chat", WHAT)
    assert found.value.hint == f"add to drift: ignore:  - {{host: h1, deployment: chat, what: {WHAT}}}"
    assert (root / "deployer.yaml").read_text() == FORMS["an empty section"]


def test_a_file_that_changed_meanwhile_is_not_written_over(root: Path) -> None:
    edit = ignore(fleet(root, HEAD), "h1", None, WHAT)
    (root / "deployer.yaml").write_text(HEAD + "environment: prod\n")
    with pytest.raises(UsageError, match="was changed meanwhile"):
        edit.write()
    assert (root / "deployer.yaml").read_text() == HEAD + "environment: prod\n"


def test_a_fleet_that_would_not_load_with_it_is_said(root: Path) -> None:
    with pytest.raises(SpecError):
        ignore(fleet(root, HEAD), "h9", None, WHAT)
    assert (root / "deployer.yaml").read_text() == HEAD


@given(
    what=st.text(
        alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), min_size=1, max_size=30
    )
)
def test_any_difference_can_be_named(tmp_path_factory: pytest.TempPathFactory, what: str) -> None:
    root = tmp_path_factory.mktemp("fleet")
    (root / "hosts").mkdir()
    (root / "hosts/h1.yaml").write_text("name: h1\naddress: 192.0.2.1\n")
    fleet(root, HEAD)
    ignore(root, "h1", None, what).write()
    assert checking.load(root).fleet.drift.ignore[0].what == what
