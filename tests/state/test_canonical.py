"""Equal values have equal digests, whoever wrote them down and in which order."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.state.canonical import canonical, digest
from deployer.state.resources import Kind

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | TEXTS | st.sampled_from(Kind)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


class Pair(NamedTuple):
    one: int
    two: str


@dataclass(frozen=True)
class Plain:
    one: int = 1


def backwards(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(one) for one in value] if isinstance(value, list) else value


@given(VALUES)
def test_it_is_what_the_standard_library_writes_whatever_the_order_of_the_keys(value: Any) -> None:
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical(value) == canonical(backwards(value)) == plain


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_so_that_it_comes_back(value: float) -> None:
    assert json.loads(canonical([value])) == [value]


def test_what_is_in_no_64_bits_or_is_a_tuple_with_names_is_written_too() -> None:
    assert canonical([2**70, Pair(1, "b")]) == b'[1180591620717411303424,[1,"b"]]'
    assert digest(2**70) != digest(2**70 + 1)


@pytest.mark.parametrize("value", [{1, 2}, Plain(), datetime(2026, 1, 1, tzinfo=UTC), b"bytes", object()])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical({"inside": [value]})
