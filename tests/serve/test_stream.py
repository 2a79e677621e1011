"""Text comes out as it becomes certain, adds up to the whole, and never holds a stop text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.serve.model import Model
from deployer.serve.stream import Detokenizer, StopFilter

_SOME = settings(max_examples=60)


def _pieces(model: Model, ids: list[int]) -> list[str]:
    text = Detokenizer(model.decode, model.special)
    return [text.push(token) for token in ids]


def test_characters_of_several_tokens_come_out_whole(model: Model) -> None:
    ids = model.tokenizer.encode("Grüße, 世界 🚀!", add_special_tokens=False).ids
    pieces = _pieces(model, ids)
    assert "".join(pieces) == "Grüße, 世界 🚀!"
    assert all("\ufffd" not in piece for piece in pieces)
    assert "🚀" in pieces  # in one piece, though it is four tokens


@_SOME
@given(text=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\ufffd"), max_size=60))
def test_any_text_survives_token_by_token(model: Model, text: str) -> None:
    ids = [i for i in model.tokenizer.encode(text, add_special_tokens=False).ids if i not in model.special]
    assert "".join(_pieces(model, ids)) == model.decode(ids)


@_SOME
@given(ids=st.lists(st.integers(0, 1023), max_size=60))
def test_any_tokens_even_broken_characters_never_stop_the_text(model: Model, ids: list[int]) -> None:
    text = Detokenizer(model.decode, model.special)
    for token in ids:
        text.push(token)
    word = model.tokenizer.encode(" deployment", add_special_tokens=False).ids
    assert "".join(text.push(token) for token in word * 2).endswith("deployment")


def test_the_work_per_token_does_not_grow_with_the_answer(model: Model) -> None:
    longest = 0

    def decode(ids: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(ids))
        return model.decode(ids)

    text = Detokenizer(decode, model.special)
    for token in [*model.tokenizer.encode("word 世 " * 300).ids, *([min(model.special)] * 300), *([240] * 300)]:
        text.push(token)
    assert longest <= 20


def test_a_stop_text_across_tokens_is_cut_and_what_only_looked_like_one_is_sent() -> None:
    stops = StopFilter(["</s>", "END"])
    assert stops.push("a <") == ("a ", False)
    assert stops.push("/") == ("", False)
    assert stops.push("x E") == ("</x ", False)
    assert stops.push("N") == ("", False)
    assert stops.push("D more") == ("", True)


def test_what_waited_is_sent_when_the_answer_ends() -> None:
    stops = StopFilter(["END"])
    assert stops.push("the EN") == ("the ", False)
    assert stops.rest() == "EN"
    assert stops.rest() == ""


def test_the_earliest_stop_text_wins_and_may_be_included() -> None:
    assert StopFilter(["c", "b"]).push("abc") == ("a", True)
    assert StopFilter(["c", "bc"], include=True).push("abcd") == ("abc", True)


@_SOME
@given(
    text=st.text("ab", max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=10),
    stops=st.lists(st.text("ab", min_size=1, max_size=5), max_size=3),
)
def test_the_border_of_pieces_does_not_matter(text: str, cuts: list[int], stops: list[str]) -> None:
    found = [text.find(stop) for stop in stops if stop in text]
    stop_filter, sent, at = StopFilter(stops), "", 0
    for cut in [*sorted(c for c in cuts if c <= len(text)), len(text)]:
        piece, stopped = stop_filter.push(text[at:cut])
        sent, at = sent + piece, cut
        if stopped:
            break
    else:
        sent += stop_filter.rest()
    # found in pieces: a stop text is seen as soon as it is complete, so a longer one that begins earlier may come too late
    first_complete = min((text.find(s) + len(s) for s in stops if s in text), default=None)
    if first_complete is None:
        assert sent == text
    else:
        assert text.startswith(sent)
        assert min(found) <= len(sent) < first_complete or sent == text[: min(found)]
        assert not any(stop in sent for stop in stops)
