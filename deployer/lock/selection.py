"""Which files of a repository a host needs. Pure; called by hub.py and folder.py."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

_OTHER_FRAMEWORKS = (".h5", ".msgpack", ".ot", ".tflite", ".onnx", ".onnx_data", ".mlmodel", ".mlpackage")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
_OTHER_FOLDERS = frozenset({"onnx", "openvino", "coreml", "original", "metal"})


def hidden(path: str) -> bool:
    """.git, .cache, .gitattributes and the like, at any depth."""
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def select(paths: Iterable[str]) -> frozenset[str]:
    """The files to lock, of all files of a repository. The rule:

    * hidden files never;
    * when the root has safetensors: no weights in another format. That drops .h5, .msgpack, .onnx, .gguf and the like
      everywhere, the folders onnx/, openvino/, coreml/, original/ and metal/, pickled weights (.bin, .pt, .pth, .ckpt)
      in every folder that has safetensors, and consolidated*.safetensors beside a model*.safetensors;
    * when the root has pickled weights but no safetensors: the same, the pickled ones kept;
    * when it has neither (GGUF, ONNX or CTranslate2 repositories): everything.
    """
    every = frozenset(path for path in paths if not hidden(path))
    root = {path for path in every if "/" not in path}
    safe = any(path.endswith(".safetensors") for path in root)
    if not safe and not any(path.startswith("pytorch_model") and path.endswith(_PICKLED) for path in root):
        return every
    kept = {path for path in every if not _foreign(path)}
    if not safe:
        return frozenset(kept)
    folders = {str(PurePosixPath(path).parent) for path in kept if path.endswith(".safetensors")}
    whole = any(path.startswith("model") and path.endswith(".safetensors") for path in root)
    return frozenset(
        path
        for path in kept
        if not (path.endswith(_PICKLED) and str(PurePosixPath(path).parent) in folders)
        and not (whole and path.startswith("consolidated") and path.endswith((".safetensors", ".safetensors.index.json")))
        and not path.endswith(".bin.index.json")
    )


def one_file(paths: Iterable[str], file: str) -> frozenset[str]:
    """A GGUF file with its other parts, when it is the first of several (…-00001-of-00003.gguf); nothing when it is not there."""
    part = _PART.fullmatch(file)
    if part is None:
        return frozenset(path for path in paths if path == file)
    return frozenset(p for p in paths if (other := _PART.fullmatch(p)) and (other[1], other[3]) == (part[1], part[3]))


def whole(paths: Sequence[str]) -> bool:
    """Are these GGUF files one model: a single one, or the parts of one?"""
    return len(paths) == 1 or (bool(paths) and one_file(paths, paths[0]) == frozenset(paths) and "-of-" in paths[0])


def _foreign(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return path.endswith((*_OTHER_FRAMEWORKS, ".gguf")) or (len(parts) > 1 and parts[0] in _OTHER_FOLDERS)
