"""What the YAML holds arrives in systemd and HAProxy as it is, or is refused; nothing becomes syntax."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.render.quote import Unquotable, haproxy_word, unit_command, unit_environment, unit_line, unit_word

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)


def unquoted(text: str) -> list[str]:
    """systemd's reading of a command line, as systemd.service(5) and systemd.syntax(7) state it: words, escapes, doubles."""
    words, index = [], 0
    while index < len(text):
        if text[index] == " ":
            index += 1
            continue
        word, quote = "", ""
        while index < len(text) and (quote or text[index] != " "):
            char = text[index]
            if char == '"':
                quote = "" if quote else '"'
            elif char == "\\":
                index += 1
                if text[index] == "x":
                    word += chr(int(text[index + 1 : index + 3], 16))
                    index += 2
                else:
                    word += {"n": "\n", "t": "\t", "r": "\r"}.get(text[index], text[index])
            elif char in "%$":
                assert text[index + 1] == char, "a specifier or a variable"
                word += char
                index += 1
            else:
                assert char not in "\n\0", "the end of the line"
                word += char
            index += 1
        words.append(word)
    return words


@given(st.lists(TEXT, max_size=4))
@settings(max_examples=200)
def test_every_argument_arrives_as_it_was(words: list[str]) -> None:
    assert unquoted(unit_command(("/bin/true", *words))) == ["/bin/true", *words]


@given(TEXT)
@settings(max_examples=200)
def test_an_argument_never_ends_its_line(text: str) -> None:
    assert "\n" not in unit_word(text)
    assert "\r" not in unit_word(text)


@pytest.mark.parametrize("path", ["python", "/opt/a b/python", "/opt/$x/python", "/opt/%h/python", "-/bin/sh", "/bin/sh\n"])
def test_a_program_with_an_odd_path_is_refused(path: str) -> None:
    with pytest.raises(Unquotable, match="absolute and plain"):
        unit_command((path, "x"))


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_no_unit_can_hold_is_refused(text: str) -> None:
    with pytest.raises(Unquotable):
        unit_word(text)


def test_a_variable_keeps_its_dollar_and_doubles_its_percent() -> None:
    assert unit_environment("A", 'x$y %h "q" \\ \n ü') == '"A=x$y %%h \\"q\\" \\\\ \\n ü"'


@pytest.mark.parametrize(("name", "value"), [("A B", "x"), ("", "x"), ("1A", "x"), ("A", "\x01"), ("A", "\x7f"), ("A", "\r")])
def test_a_variable_that_systemd_would_drop_is_refused(name: str, value: str) -> None:
    with pytest.raises(Unquotable):
        unit_environment(name, value)


@given(TEXT)
@settings(max_examples=100)
def test_a_description_stays_one_line_and_says_no_specifier(text: str) -> None:
    line = unit_line(text)
    assert not any(ord(c) < 0x20 for c in line)
    assert not line.endswith("\\")
    assert "%" not in line.replace("%%", "")


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=40))
@settings(max_examples=100)
def test_a_gateway_word_is_one_literal_word(text: str) -> None:
    assert shlex.split(haproxy_word(text)) == [text]  # single quotes mean the same in both


def test_a_gateway_word_cannot_begin_a_line() -> None:
    with pytest.raises(Unquotable, match="control character"):
        haproxy_word("x\n    server evil 1.2.3.4:80")
