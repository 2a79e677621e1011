"""GGUF: the header is read, a broken one is told, one file of a folder or of several parts is chosen."""

import struct
from pathlib import Path

import pytest

from deployer.errors import LockfileError
from deployer.lock.folder import digest_folder, digest_folders
from deployer.lock.gguf import gguf_facts
from deployer.lock.selection import one_file, whole
from deployer.state.needs import ModelNeed
from tests.gguffile import array, header, pair, pairs, string, write_gguf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m").mkdir()
    write_gguf(tmp_path / "m" / "tiny.gguf")
    return tmp_path / "m"


def test_the_header_says_what_a_config_would(folder: Path) -> None:
    facts = gguf_facts(folder / "tiny.gguf", "m/tiny.gguf")
    assert (facts.model_type, facts.context, facts.layers, facts.heads, facts.kv_heads) == ("llama", 1024, 3, 4, 2)
    assert (facts.dtype, facts.quantization, facts.chat_template) == ("float32", None, True)
    assert (facts.vocab_size, facts.cache and facts.cache.intermediate_size) == (1024, 384)


def test_layers_that_differ_are_not_taken_for_equal_ones(tmp_path: Path) -> None:
    """openelm and others have a number of heads for each layer, as a list."""
    said = [pair("general.architecture", 8, "llama"), array("llama.attention.head_count_kv", 4, [2, 4, 4])]
    (tmp_path / "x.gguf").write_bytes(header(said, []))
    facts = gguf_facts(tmp_path / "x.gguf", "x.gguf")
    assert facts.cache is not None
    assert facts.cache.text_type == "llama with unlike layers"


def test_the_vocabulary_is_counted_where_no_number_says_it(tmp_path: Path) -> None:
    said = [pair("general.architecture", 8, "llama"), array("tokenizer.ggml.tokens", 8, ["a", "b", "c"])]
    (tmp_path / "x.gguf").write_bytes(header(said, []))
    assert gguf_facts(tmp_path / "x.gguf", "x.gguf").vocab_size == 3


def test_a_quantized_file_says_how(tmp_path: Path) -> None:
    (tmp_path / "q.gguf").write_bytes(header([pair("general.file_type", 4, 15)], []))
    facts = gguf_facts(tmp_path / "q.gguf", "q.gguf")
    assert (facts.quantization, facts.dtype, facts.model_type, facts.context) == ("Q4_K_M", None, None, None)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it begins with b''"),
        (b"version https://git-lfs.example/spec/v1", "it begins with b'vers'"),
        (header([], [], version=9), "its version is 9"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "it is written for big-endian machines"),
        (header(pairs(), [])[:200], "it is cut off"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "it announces"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 50), "it announces a text of"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a" + struct.pack("<I", 77), "the unknown type 77"),
        (header([pair("a.b", 4, 1), string("c") + struct.pack("<IIQ", 9, 0, 1 << 50)], []), "it announces a list of"),
    ],
)
def test_a_broken_header_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(LockfileError) as broken:
        gguf_facts(tmp_path / "x.gguf", "m/x.gguf")
    assert why in broken.value.what
    assert broken.value.where == "m/x.gguf"


def test_a_folder_without_config_is_a_model_when_it_holds_gguf(folder: Path) -> None:
    model = digest_folder(folder, name="m")
    assert (model.key, [f.path for f in model.files], model.facts.context) == ("path:m", ["tiny.gguf"], 1024)
    (folder / "other.gguf").write_bytes((folder / "tiny.gguf").read_bytes())
    assert digest_folder(folder, name="m").facts.context is None, "which one is not said"
    [(key, one)] = digest_folders(folder.parent, [ModelNeed(path="m", file="tiny.gguf")]).items()
    assert (key, one.key, [f.path for f in one.files]) == ("path:m:tiny.gguf", "path:m:tiny.gguf", ["tiny.gguf"])
    assert one.facts.weights_bytes == (folder / "tiny.gguf").stat().st_size


def test_a_file_that_is_not_there_is_told_with_those_that_are(folder: Path) -> None:
    with pytest.raises(LockfileError) as missing:
        digest_folder(folder, name="m", file="tiny-q4.gguf")
    assert (missing.value.what, missing.value.hint) == ("the model folder has no tiny-q4.gguf", "it has tiny.gguf")


def test_all_parts_of_one_file_come_together() -> None:
    parts = ["q/a-00001-of-00002.gguf", "q/a-00002-of-00002.gguf"]
    every = [*parts, "q/b-00001-of-00002.gguf", "q/a-00001-of-00003.gguf", "a.gguf", "README.md"]
    assert one_file(every, parts[0]) == frozenset(parts)
    assert one_file(every, "a.gguf") == {"a.gguf"}
    assert one_file(every, "b.gguf") == frozenset()
    assert whole(parts)
    assert not whole([*parts, "a.gguf"])
    assert not whole(["a.gguf", "b.gguf"])
