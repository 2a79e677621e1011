"""Weights in safetensors that are not whole: told by file, never a traceback, never weighed."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.errors import LockfileError
from deployer.lock.folder import look_at_folder
from deployer.lock.tensors import faults, in_folder
from deployer.state.locked import LockedFile


def safetensors(header: object, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def tensor(begin: int, end: int, kind: object = "BF16") -> dict[str, object]:
    return {"dtype": kind, "shape": [1], "data_offsets": [begin, end]}


def files(top: Path) -> list[LockedFile]:
    return [LockedFile(path.name, path.stat().st_size, "") for path in sorted(top.iterdir())]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "its header would be 0 bytes, and the file has 0"),
        (b"\0" * 64, "its header would be 0 bytes"),
        (b"\xff" * 64, "its header would be 18446744073709551615 bytes, and the format allows 104857600"),
        ((1 << 26).to_bytes(8, "little") + b"{}", "its header would be 67108864 bytes, and the file has 10"),
        (safetensors(b"{nope"), "its header cannot be read: "),
        (safetensors(b"[" * 100_000), "its header cannot be read: "),
        (safetensors([1]), "its header is no JSON object"),
        (safetensors({"w": 1}), "the tensor 'w' has no place in it"),
        (safetensors({"w": tensor(0, 2, ["x"])}, b"ab"), "the tensor 'w' is of the unknown type ['x']"),
        (safetensors({"w": tensor(0, 200)}, b"ab"), "the tensor 'w' ends at byte 200 of 2: the file is cut off"),
        (safetensors({"w": tensor(-2, 2)}, b"ab"), "the tensor 'w' ends at byte 2 of 2"),
        (safetensors({"v": tensor(0, 2), "w": tensor(0, 2)}, b"ab"), "its tensors lie over each other"),
    ],
)
def test_a_file_that_is_not_whole_says_what_is_wrong(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    ((path, said),) = faults(tmp_path, files(tmp_path))
    assert path == "model.safetensors"
    assert said.startswith(why)
    assert in_folder(tmp_path, files(tmp_path)) == {}, "and it is not weighed"
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LockfileError) as broken:
        look_at_folder(tmp_path, name="models/m")
    assert broken.value.where == "models/m/model.safetensors"


@pytest.mark.parametrize(
    ("index", "why"),
    [
        ("{", "it is not JSON"),
        ("[]", "it has no weight_map of files"),
        ('{"weight_map": {"a": 1}}', "it has no weight_map of files"),
        (
            json.dumps({"weight_map": {str(n): f"model-{n}-of-5.safetensors" for n in range(1, 6)}}),
            "it names model-2-of-5.safetensors, model-3-of-5.safetensors, model-4-of-5.safetensors and 1 more, not there",
        ),
    ],
)
def test_an_index_that_lies_is_told(tmp_path: Path, index: str, why: str) -> None:
    (tmp_path / "model-1-of-5.safetensors").write_bytes(safetensors({"w": tensor(0, 2)}, b"ab"))
    (tmp_path / "model.safetensors.index.json").write_text(index)
    ((path, said),) = faults(tmp_path, files(tmp_path))
    assert path == "model.safetensors.index.json"
    assert said.startswith(why)


def test_whole_files_have_no_faults(tmp_path: Path) -> None:
    (tmp_path / "model-1-of-1.safetensors").write_bytes(safetensors({"w": tensor(0, 2), "__metadata__": {"a": "b"}}, b"ab"))
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"w": "model-1-of-1.safetensors"}}')
    assert faults(tmp_path, files(tmp_path)) == []
    assert in_folder(tmp_path, files(tmp_path)) == {"BF16": 2}


@settings(max_examples=60)
@given(
    st.binary(max_size=80)
    | st.builds(
        safetensors,
        st.recursive(
            st.none() | st.integers() | st.text(max_size=4), lambda x: st.dictionaries(st.text(max_size=4), x, max_size=3)
        ),
        st.binary(max_size=8),
    )
)
def test_any_bytes_are_weighed_or_a_fault(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(content)
    assert bool(faults(folder, files(folder))) or sum(in_folder(folder, files(folder)).values()) <= len(content)
