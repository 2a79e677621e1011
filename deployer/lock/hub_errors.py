"""What a hub's refusal means, in a person's words. Called by hub.py only."""

import difflib
import re
from collections.abc import Sequence

import httpx2
from huggingface_hub.errors import (
    BadRequestError,
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from deployer.errors import LockfileError

_TOKEN = "model.token in the YAML, for example {env: HF_TOKEN}"
_RETRY = "try again; parts that are locked already need no network"


def check_token(token: str) -> None:
    """Refuses a token that no HTTP header can hold, before a library prints it in its own error."""
    if not token or not token.isascii() or not re.fullmatch(r"[!-~]+", token):
        what = "the token is empty" if not token else "the token holds a space, a newline or another character no token has"
        raise LockfileError(what, hint=f"check the value behind {_TOKEN}")


def explain(error: Exception, repo: str, revision: str, *, endpoint: str, token: bool, refs: Sequence[str] = ()) -> LockfileError:
    """The message for `error`. `token`: one was sent; `refs`: branches and tags, for "did you mean"."""
    if isinstance(error, OfflineModeIsEnabled):
        return LockfileError(f"{repo} must be looked up, but HF_HUB_OFFLINE is set", hint="unset HF_HUB_OFFLINE, then try again")
    if isinstance(error, HFValidationError):
        return LockfileError(f"{repo!r} is not the name of a repository", hint="write model.repo as ORGANISATION/NAME")
    if isinstance(error, HfHubHTTPError):
        return _refused(error, repo, revision, endpoint, token, refs)
    if isinstance(error, httpx2.TimeoutException):
        return LockfileError(f"the hub at {endpoint} did not answer in time, asked for {repo}", hint=_RETRY)
    if isinstance(error, httpx2.ConnectError):
        return LockfileError(
            f"cannot reach the hub at {endpoint}: {_short(error)}", hint=f"check the network and HF_ENDPOINT; {_RETRY}"
        )
    if isinstance(error, httpx2.HTTPError | OSError):
        return LockfileError(f"the connection to the hub at {endpoint} broke, asked for {repo}: {_short(error)}", hint=_RETRY)
    return LockfileError(f"the hub at {endpoint} gave an answer about {repo} that cannot be understood: {_short(error)}")


def _refused(error: HfHubHTTPError, repo: str, revision: str, endpoint: str, token: bool, refs: Sequence[str]) -> LockfileError:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return _gated(repo, endpoint, token)
    if isinstance(error, RevisionNotFoundError):
        near = difflib.get_close_matches(revision, refs, n=1, cutoff=0.5)
        known = f"it has {', '.join(refs[:8])}" if refs else None
        return LockfileError(f"{repo} has no revision {revision!r}", hint=f"did you mean {near[0]!r}?" if near else known)
    if isinstance(error, RemoteEntryNotFoundError):
        return LockfileError(f"a file of {repo} went away while it was read", hint=_RETRY)
    if isinstance(error, RepositoryNotFoundError):
        return _missing(repo, endpoint, token)
    if isinstance(error, DisabledRepoError):
        return LockfileError(f"access to {repo} is disabled by the hub's owner")
    if isinstance(error, BadRequestError):
        return LockfileError(
            f"the hub at {endpoint} does not understand a request about {repo}", hint="check model.repo and model.revision"
        )
    if status == 401:
        return LockfileError(
            f"the hub at {endpoint} does not accept the token", hint=f"make a new one and put it behind {_TOKEN}"
        )
    if status == 403:
        hint = "give the token read access to this repository" if token else f"set {_TOKEN}"
        return LockfileError(f"{'the token may not' if token else 'without a token one may not'} read {repo}", hint=hint)
    if status == 429:
        return LockfileError(
            f"the hub at {endpoint} says: too many requests", hint=f"wait some minutes, or send a token: {_TOKEN}"
        )
    return LockfileError(f"the hub at {endpoint} answered {status} about {repo}", hint=_RETRY)


def _gated(repo: str, endpoint: str, token: bool) -> LockfileError:
    page = f"{endpoint}/{repo}"
    if token:
        hint = f"ask for access at {page} with the account the token belongs to"
        return LockfileError(f"{repo} is gated, and the token has no access to it", hint=hint)
    return LockfileError(f"{repo} is gated, and no token was given", hint=f"ask for access at {page}, then set {_TOKEN}")


def _missing(repo: str, endpoint: str, token: bool) -> LockfileError:
    if token:
        hint = f"check the spelling at {endpoint}/{repo}, and that the token's account may read it"
        return LockfileError(f"{repo} does not exist, or it is private and the token cannot see it", hint=hint)
    hint = f"check the spelling at {endpoint}/{repo}; for a private one set {_TOKEN}"
    return LockfileError(f"{repo} does not exist, or it is private and no token was given", hint=hint)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
