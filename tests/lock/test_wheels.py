import hashlib
from pathlib import Path

import pytest

from deployer.errors import LockfileError
from deployer.lock.wheels import find
from tests.lock.wheelhouse import make_wheel, write_index


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_wheel_is_found_in_a_folder_and_through_a_file_index(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "my files" / "files", "some-thing", "1.0+cpu")
    places = (str(wheel.parent), wheel.parent.as_uri(), str(wheel), write_index(tmp_path / "my files").as_uri())
    for place in places:
        found = find(wheel.name, sha256(wheel), "https://elsewhere/simple", str(tmp_path / "none"), place)
        assert found.resolve() == wheel


def test_one_with_other_bytes_is_passed_over_and_refused_when_it_is_the_only_one(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "a", "thing", "1.0")
    other = tmp_path / "b" / wheel.name
    other.parent.mkdir()
    other.write_bytes(b"x")
    assert find(wheel.name, sha256(wheel), str(other.parent), str(wheel.parent)) == wheel
    with pytest.raises(LockfileError, match="digest differs") as raised:
        find(wheel.name, sha256(wheel), str(other.parent))
    assert raised.value.where == str(other)


def test_a_wheel_that_is_nowhere_says_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(LockfileError, match="not on this machine") as raised:
        find("thing-1.0-py3-none-any.whl", "0" * 64, str(tmp_path))
    assert str(tmp_path) in (raised.value.hint or "")
