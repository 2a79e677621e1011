from deployer.lock.selection import select

SAFE = {"config.json", "model.safetensors", "tokenizer.json"}


def test_safetensors_replace_every_other_format_of_the_same_weights() -> None:
    others = {
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "tf_model.h5",
        "flax_model.msgpack",
        "model.onnx",
        "model-q4.gguf",
    }
    folders = {
        "onnx/model.onnx",
        "onnx/config.json",
        "original/consolidated.00.pth",
        "original/params.json",
        "openvino/openvino_model.xml",
    }
    assert select(SAFE | others | folders) == SAFE


def test_weights_of_a_part_that_has_only_pickles_stay() -> None:
    assert "2_Dense/pytorch_model.bin" in select(SAFE | {"2_Dense/pytorch_model.bin", "2_Dense/config.json"})


def test_mistrals_consolidated_file_is_left_out_beside_the_usual_one() -> None:
    assert "consolidated.safetensors" not in select(SAFE | {"consolidated.safetensors"})
    assert "consolidated.safetensors" in select({"params.json", "consolidated.safetensors"})


def test_pickled_weights_are_taken_where_there_is_nothing_better() -> None:
    files = {"config.json", "pytorch_model.bin"}
    assert select(files | {"tf_model.h5", "onnx/model.onnx"}) == files


def test_a_gguf_or_ctranslate2_repository_is_taken_whole() -> None:
    for files in ({"model.gguf", "README.md"}, {"model.bin", "config.json", "vocabulary.json"}):
        assert select(files) == files


def test_hidden_files_are_never_taken() -> None:
    assert select(SAFE | {".gitattributes", ".cache/x", "a/.hidden/b"}) == SAFE
