from pathlib import Path

import pytest

from deployer.errors import LockfileError
from deployer.lock.pylock import pin

A, B = "a" * 64, "b" * 64


def package(body: str) -> str:
    return f'[[packages]]\nname = "thing"\n{body}\n'


def test_a_package_becomes_one_line_with_all_its_hashes_sorted() -> None:
    wheels = ", ".join(
        f'{{ url = "https://h/thing-1.0-{tag}.whl", hashes = {{ sha256 = "{value}" }} }}' for tag, value in (("x", B), ("y", A))
    )
    pinned = pin(package(f'version = "1.0+cpu"\nwheels = [{wheels}]'))
    assert pinned.text == f"thing==1.0+cpu --hash=sha256:{A} --hash=sha256:{B}\n"
    assert (pinned.packages, pinned.wheels) == (1, ())


def test_a_wheel_of_this_machine_is_to_be_pushed(tmp_path: Path) -> None:
    wheel = tmp_path / "thing-1.0+cpu-py3-none-any.whl"
    wheel.write_bytes(b"12345")
    for entry in (f'url = "{wheel.as_uri()}"', f'path = "{wheel}"'):
        pinned = pin(package(f'version = "1.0"\nwheels = [{{ {entry}, hashes = {{ sha256 = "{A}" }} }}]'))
        assert [(w.name, w.size, w.sha256) for w in pinned.wheels] == [(wheel.name, 5, A)]
    pinned = pin(package(f'archive = {{ path = "{wheel}", hashes = {{ sha256 = "{A}" }} }}'))
    assert pinned.text == f"thing==1.0+cpu --hash=sha256:{A}\n"


def test_a_wheel_named_by_address_keeps_it() -> None:
    text = pin(package(f'archive = {{ url = "https://h/thing-2-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}')).text
    assert text == f"thing @ https://h/thing-2-py3-none-any.whl --hash=sha256:{A}\n"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('vcs = { type = "git", url = "https://h/x" }', "a version control address"),
        ('directory = { path = "/x" }', "a folder"),
        ('version = "1"\nsdist = { url = "https://h/x.tar.gz" }', "no wheel"),
        ('version = "1"\nwheels = [{ url = "https://h/thing-1-x.whl", hashes = {} }]', "no sha256"),
        (
            'version = "1"\nwheels = [{ url = "file:///nowhere/thing-1-x.whl", hashes = { sha256 = "HASH" } }]',
            "cannot read the wheel",
        ),
        (
            'version = "1 --evil"\nwheels = [{ url = "https://h/thing-1-x.whl", hashes = { sha256 = "HASH" } }]',
            "cannot write down",
        ),
        ('archive = { url = "https://u:p@h/thing-1-x.whl", hashes = { sha256 = "HASH" } }', "holds credentials"),
    ],
)
def test_what_no_hash_can_pin_is_refused(body: str, says: str) -> None:
    with pytest.raises(LockfileError, match=says):
        pin(package(body.replace("HASH", A)))
