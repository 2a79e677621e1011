"""A model of a hub: its revision pinned to a commit, its files with digests, its facts. Called by resolve.py.

Honours HF_ENDPOINT and, when the deployment names no token, the one huggingface_hub finds (HF_TOKEN, a login).
"""

import hashlib
import os
import re
from dataclasses import replace
from typing import Any

import httpx2
from huggingface_hub import HfApi, get_session, get_token, hf_hub_url, set_client_factory
from huggingface_hub.hf_api import ModelInfo, RepoFile
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

from deployer.errors import LockfileError
from deployer.lock.adapterfacts import ADAPTER, adapter_facts
from deployer.lock.facts import facts_from_config, has_template, parse_config, weights_bytes
from deployer.lock.hub_errors import check_token, explain
from deployer.lock.request import Secret
from deployer.lock.selection import one_file, select
from deployer.lock.tensors import counted
from deployer.state.locked import AdapterFacts, LockedFile, LockedModel, ModelFacts, content_digest
from deployer.state.needs import ModelNeed

_TIMEOUT_S = 30.0
_BIGGEST_TEXT = 64 << 20


def lock_hub_model(need: ModelNeed, token: Secret | None = None) -> LockedModel:
    """Raises LockfileError with a message for each way a hub can say no. The token appears in no message."""
    return _Repository(need, token).locked()


class _Repository:
    def __init__(self, need: ModelNeed, token: Secret | None) -> None:
        self.need = need
        self.repo = need.repo or ""
        self.endpoint = (os.environ.get("HF_ENDPOINT") or HfApi().endpoint).rstrip("/")
        self.token = token.reveal() if token else get_token()
        if self.token is not None:
            check_token(self.token)
        set_client_factory(_client)
        self.api = HfApi(endpoint=self.endpoint, token=self.token or False)

    def locked(self) -> LockedModel:
        try:
            return self._locked()
        except LockfileError as error:
            error.where = error.where or self.repo
            raise
        except Exception as error:  # noqa: BLE001  (whatever a network library raises becomes one message, without its request)
            raise self._explained(error) from None

    def _locked(self) -> LockedModel:
        info = self.api.model_info(self.repo, revision=self.need.revision, timeout=_TIMEOUT_S)
        commit = info.sha
        if not commit:
            raise LockfileError(f"the hub does not say which commit {self.need.revision} is", where=self.repo)
        if info.gated:
            self.api.auth_check(self.repo)
        files = self._files(commit)
        return LockedModel(
            key=self.need.key,
            source="hub",
            name=self.repo,
            revision=self.need.revision,
            commit=commit,
            digest=content_digest(files),
            files=files,
            facts=self._facts(info, commit, files),
        )

    def _facts(self, info: ModelInfo, commit: str, files: tuple[LockedFile, ...]) -> ModelFacts:
        facts = facts_from_config(
            self._config(commit, files),
            license=_license(info),
            gated=bool(info.gated),
            chat_template=self._has_template(commit, files),
            weights_bytes=weights_bytes(files),
            tensors=counted(getattr(info.safetensors, "parameters", None), weights_bytes(files)),
            adapter=self._adapter(commit, files),
        )
        said = getattr(info, "gguf", None)  # what the hub has read in the header of such a file
        if not isinstance(said, dict) or facts.model_type is not None:
            return facts
        kind, context = said.get("architecture"), said.get("context_length")
        return replace(
            facts,
            model_type=kind if isinstance(kind, str) else None,
            context=context if isinstance(context, int) and context > 0 else None,
            chat_template=facts.chat_template or bool(said.get("chat_template")),
        )

    def _files(self, commit: str) -> tuple[LockedFile, ...]:
        tree = self.api.list_repo_tree(self.repo, recursive=True, revision=commit)
        every = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        chosen = one_file(every, self.need.file) if self.need.file else select(every)
        if not chosen and self.need.file:
            there = ", ".join(sorted(path for path in every if path.endswith(".gguf"))[:10])
            hint = f"it has {there}" if there else "it holds no GGUF file at all"
            raise LockfileError(f"{self.repo} has no {self.need.file} at {self.need.revision}", where=self.repo, hint=hint)
        if not chosen:
            raise LockfileError(f"{self.repo} holds no files at {self.need.revision}", where=self.repo)
        return tuple(_file(every[path]) for path in sorted(chosen))

    def _config(self, commit: str, files: tuple[LockedFile, ...]) -> dict[str, Any]:
        file = next((f for f in files if f.path == "config.json"), None)
        return parse_config(self._read(commit, file), f"{self.repo}/config.json") if file else {}

    def _adapter(self, commit: str, files: tuple[LockedFile, ...]) -> AdapterFacts | None:
        file = next((f for f in files if f.path == ADAPTER), None)
        return adapter_facts(parse_config(self._read(commit, file), f"{self.repo}/{ADAPTER}")) if file else None

    def _has_template(self, commit: str, files: tuple[LockedFile, ...]) -> bool:
        by_path = {f.path: f for f in files}
        if "chat_template.jinja" in by_path or "chat_template.json" in by_path:
            return True
        file = by_path.get("tokenizer_config.json")
        return file is not None and has_template(self._read(commit, file))

    def _read(self, commit: str, file: LockedFile) -> bytes:
        """A small file of the repository, its digest checked."""
        if file.size > _BIGGEST_TEXT:
            raise LockfileError(f"{file.path} has {file.size} bytes, too many for what it should be", where=self.repo)
        url = hf_hub_url(self.repo, file.path, revision=commit, endpoint=self.endpoint)
        response = get_session().get(url, headers=build_hf_headers(token=self.token or False), timeout=_TIMEOUT_S)
        hf_raise_for_status(response)
        content: bytes = response.content
        if file.digest not in (_sha256(content), _git_sha1(content)):
            hint = "the mirror or a proxy in between changes files; ask another one with HF_ENDPOINT"
            raise LockfileError(
                f"{file.path} is not the file that the hub announced: its digest differs", where=self.repo, hint=hint
            )
        return content

    def _explained(self, error: Exception) -> LockfileError:
        refs: list[str] = []
        if type(error).__name__ == "RevisionNotFoundError":
            refs = self._refs()
        shown = re.sub(r"//[^/@]*@", "//", self.endpoint)
        found = explain(error, self.repo, self.need.revision, endpoint=shown, token=self.token is not None, refs=refs)
        if self.token:  # no library we know puts it into a message; this holds for those we do not
            found.what = found.what.replace(self.token, "***")
            found.args = (found.what,)
        found.where = self.repo
        return found

    def _refs(self) -> list[str]:
        try:
            refs = self.api.list_repo_refs(self.repo)
        except (httpx2.HTTPError, OSError, KeyError):
            return []
        return [ref.name for ref in (*refs.branches, *refs.tags)]


def _client() -> httpx2.Client:
    from huggingface_hub.utils import _http

    client = _http.default_client_factory()
    client.timeout = _TIMEOUT_S  # theirs waits for ever
    return client


def _file(entry: RepoFile) -> LockedFile:
    digest = f"sha256:{entry.lfs.sha256}" if entry.lfs else f"git-sha1:{entry.blob_id}"
    return LockedFile(entry.path, entry.size, digest)


def _license(info: ModelInfo) -> str | None:
    card: Any = info.card_data or {}
    found = card.get("license")
    if isinstance(found, list):
        found = found[0] if found else None
    if found == "other":
        found = card.get("license_name") or found
    if not found:
        found = next((tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:")), None)
    return found if isinstance(found, str) else None


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _git_sha1(content: bytes) -> str:
    return "git-sha1:" + hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
