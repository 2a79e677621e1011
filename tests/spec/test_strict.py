"""YAML that means two things, or too much, is a problem at its place; nothing else is ever raised."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.spec.problems import render
from deployer.spec.strict import parse
from deployer.spec.tree import plain


def problem(text):
    [found] = parse(text, "f.yaml")[1]
    return found


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a: on", 1, 4, "on is true or false in YAML 1.1"),
        ("a: No", 1, 4, "No is true or false"),
        ("a:\n  - 12:30:45", 2, 5, "12:30:45 is a number to base 60"),
        ("a: 010", 1, 4, "010 is octal in YAML 1.1"),
        ("a: 0x1f", 1, 4, "unusual base"),
        ("a: 1_000", 1, 4, "only in YAML 1.1"),
        ("a: 2026-11-20", 1, 4, "a date"),
        ("a: .inf", 1, 4, "not a finite number"),
        ("a: 1e999", 1, 4, "not a number that a computer can hold"),
        ("a: " + "9" * 6000, 1, 4, "a very long number"),
        ("on: 1", 1, 1, "on is true or false"),
        ("1: a", 1, 1, "the key 1 must be text"),
        ("{a: b}: c", 1, 1, "a key must be plain text"),
        ("a: 1\nb: 2\na: 3", 3, 1, "'a' is written twice"),
        ("<<: {a: 1}", 1, 1, "merge keys (<<) are not supported"),
        ("a: !!python/object:os.system x", 1, 4, "the tag !!python/object:os.system is not supported"),
        ('a: !!int "3"', 1, 4, "the tag !!int is not supported"),
        ("!!set {a}", 1, 1, "the tag !!set is not supported"),
        ('a: "\\0"', 1, 4, "text cannot hold a NUL"),
        ("a: *b", 1, 4, "the anchor &b does not exist"),
        ("a: &b [*b]", 1, 8, "the anchor &b holds itself"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document"),
        ("a:\n\tb: 1", 2, 1, "a tab where YAML wants spaces"),
        ("a: b: c", 1, 5, "a second ': ' in one line"),
        ("a: @b", 1, 4, "this character cannot start a value"),
        ('a: "b', 1, 6, "the file ends inside a quoted text"),
        ("é: ü\nb: \x01", 2, 4, "a control character"),
        ("[" * 100_000, 1, 41, "nested more than 40 levels deep"),
        ("- " * 100_000, 1, 81, "nested more than 40 levels deep"),
    ],
)
def test_a_surprise_is_a_problem_at_its_place(text, line, column, says):
    found = problem(text)
    assert says in found.message
    assert (found.line, found.column) == (line, column)


def test_what_both_versions_of_yaml_read_alike_is_read():
    text = 'a: 0.33.0\nb: 8\nc: 1e5\nd: "on"\ne: true\nf: ~\ng: [x, "1.10"]\nh: |\n  two\n  lines\ni: y\nj: -.5\n'
    tree, problems = parse(text, "f.yaml")
    assert problems == []
    assert plain(tree) == {
        "a": "0.33.0",
        "b": 8,
        "c": 100000.0,
        "d": "on",
        "e": True,
        "g": ["x", "1.10"],
        "h": "two\nlines\n",
        "i": "y",
        "j": -0.5,
    }


def test_an_alias_is_the_value_of_its_anchor():
    tree, problems = parse("a: &x {b: [1, 2]}\nc: *x\n", "f.yaml")
    assert problems == []
    assert plain(tree) == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


@pytest.mark.parametrize("step", ["[*a{0}, *a{0}]", "{{x: *a{0}}}"])
def test_aliases_cannot_multiply_without_end(step):
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} " + step.format(i - 1) for i in range(1, 60)]
    assert "more than 100000 values" in (said := problem("\n".join(lines)).message) or "40 levels" in said


def test_every_value_and_key_knows_its_place():
    tree, _ = parse("a: 1\nb:\n  - {c: hello}\n", "f.yaml")
    entry = tree.entries["b"].node.items[0].entries["c"]
    assert entry.key == ("f.yaml", 3, 6, 1)
    assert entry.node.place == ("f.yaml", 3, 9, 5)


ALPHABET = "ab:-[]{}\"'#&*!|>%@` \n\t,?01.~<=\\\u00e9\u2028\x85\ufeff\x00"


@settings(max_examples=300)
@given(st.one_of(st.text(ALPHABET, max_size=60), st.text(max_size=40)))
def test_any_text_gives_a_tree_or_problems_with_places_inside_it(text):
    if any("\ud800" <= c <= "\udfff" for c in text):
        return
    tree, problems = parse(text, "f.yaml")
    render(problems)
    for found in problems:
        assert found.line >= 1
        assert found.column >= 1
        assert found.text is not None
        assert found.column <= len(found.text) + 1


LETTERS = "abyno:- #'\"\n\t[]{}&*!|>%@é\u2028日"  # no digits: 1e5 is text in YAML 1.1 and a number in 1.2
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-(10**9), 10**9), st.text(LETTERS, max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abcé y", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(VALUES)
def test_what_another_tool_writes_is_read_as_it_was_meant(value):
    text = yaml.safe_dump(value, allow_unicode=True)
    tree, problems = parse(text, "f.yaml")
    assert problems == []
    assert plain(tree) == value
