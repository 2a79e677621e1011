"""`model.download` by huggingface_hub on the host, and `model.push` from blobs. Every file's digest is checked."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional

from deployer.agent import files, wire
from deployer.agent.children import child
from deployer.agent.context import Context, StepFailed, Stopped
from deployer.agent.meter import Meter
from deployer.agent.steps.artifacts import AGAIN, Artifact, Files, need_space, take_blob, throw_away_damaged

RETRIES = 3
DAMAGED = "damaged or changed file"
#: What may be tried again: a connection that broke. The hub's own errors are final.
FINAL = frozenset(
    {"GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError", "RemoteEntryNotFoundError", "HFValidationError"}
)

CAUSES = {
    "GatedRepoError": (
        "the repository is gated and the token has no access",
        "accept the licence on the model's page, or set model.token",
    ),
    "RepositoryNotFoundError": (
        "the repository does not exist, or is private and the token may not see it",
        "look at model.repo and model.token",
    ),
    "RevisionNotFoundError": ("the locked commit is not there any more", "deployer lock, then plan again"),
    "RemoteEntryNotFoundError": ("a locked file is not in the repository any more", "deployer lock, then plan again"),
}
#: By the hub's answer, where the class of the error says less.
ANSWERS = {
    401: ("the hub does not accept the token", "make a new token and put it where model.token points"),
    403: ("the token may not read the repository", "give the token read access to the repository"),
}


def listed_files(ctx: Context) -> List[Dict[str, Any]]:
    """The argument `files`, each path checked: it stays below the model's directory."""
    return checked(ctx.args.get("files") or [])


def checked(found: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Files of a model as somebody lists them, when each path stays below the model's directory."""
    for one in found:
        name = str(one["path"])
        if name.startswith("/") or os.path.normpath(name) != name or name.split("/")[0] == ".." or name == wire.MARKER:
            raise StepFailed("%r is not a file below the model" % name)
    if not found:
        raise StepFailed("the lock lists no files for this model", hint="deployer lock")
    return list(found)


def verify(ctx: Context, directory: str, wanted: List[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """Reads every file and compares it with what was locked; makes it readable for the services' users."""
    meter = Meter(ctx, sum(int(f["size"]) for f in wanted), "verifying")
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        ctx.check()
        meter.show(done)

    for one in wanted:
        path = "%s/%s" % (directory, one["path"])
        real = ctx.system.path(path)
        if not os.path.isfile(real) or os.path.islink(real):
            raise StepFailed("%s is missing" % one["path"])
        if os.path.getsize(real) != int(one["size"]) or not ctx.system.intact(path, str(one["digest"]), more):
            files.remove(ctx.system, path)
            raise StepFailed("%s is not what was locked: its digest differs" % one["path"], cause=DAMAGED)
    open_to_readers(ctx, directory)
    return {str(f["path"]): {"size": int(f["size"]), "digest": str(f["digest"])} for f in wanted}


def open_to_readers(ctx: Context, directory: str) -> None:
    """Engines run as users of their own; safetensors writes 0600, which they would meet as "file not found"."""
    for folder, _folders, names in os.walk(ctx.system.path(directory)):
        os.chmod(folder, 0o755)
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                os.chmod(os.path.join(folder, name), 0o644)


class Push(Artifact):
    kind = "model"
    renamed = True

    def build(self, ctx: Context, directory: str) -> Files:
        return put_together(ctx, directory, listed_files(ctx))


def put_together(ctx: Context, directory: str, wanted: List[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """A model from blobs that are here: each file is read again and compared."""
    for one in wanted:
        take_blob(ctx, sha256_of(one), "%s/%s" % (directory, one["path"]), 0o644)
    try:
        return verify(ctx, directory, wanted)
    except StepFailed as error:
        if error.cause == DAMAGED:
            throw_away_damaged(ctx, [sha256_of(one) for one in wanted])
            error.hint = AGAIN
        raise


def sha256_of(file: Dict[str, Any]) -> str:
    return str(file["digest"]).rpartition(":")[2]


class PushScripts(Push):
    kind = "scripts"


class Download(Artifact):
    kind = "model"
    renamed = True
    keeps_leftovers = True  # whole files of an interrupted download are used again

    def build(self, ctx: Context, directory: str) -> Files:
        wanted = listed_files(ctx)
        total = sum(int(f["size"]) for f in wanted)
        need_space(ctx, directory, total - files.size_of(ctx.system, directory))
        for attempt in range(RETRIES):
            try:
                self._fetch(ctx, directory, wanted, total)
                break
            except StepFailed as error:
                if attempt + 1 == RETRIES or error.cause is not None:
                    raise
                ctx.progress(phase="trying again: %s" % error.message)
                ctx.system.sleep(2.0 ** (attempt + 1))
        files.remove_tree(ctx.system, directory + "/.cache")
        names = {str(f["path"]) for f in wanted}
        for extra in [name for name in files.walk(ctx.system, directory) if name not in names]:
            files.remove(ctx.system, "%s/%s" % (directory, extra))
        return verify(ctx, directory, wanted)

    def _fetch(self, ctx: Context, directory: str, wanted: List[Dict[str, Any]], total: int) -> None:
        reference = ctx.args.get("token")
        token = ctx.secret(str(reference)) if reference else None
        if reference and token is None:
            raise StepFailed(
                "the token %s was not at hand" % reference, cause="no token", hint="set it where you run apply, and plan again"
            )
        job = {
            "repo": ctx.args["repo"],
            "commit": ctx.args["commit"],
            "files": [f["path"] for f in wanted],
            "directory": ctx.system.path(directory),
            "endpoint": ctx.args.get("endpoint"),
            "token": token,  # on standard input: neither in argv nor in the environment
        }
        env = dict(ctx.environment(), HF_HOME=ctx.system.path(wire.ROOT_CACHE + "/hub"))
        env.update(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_UPDATE_CHECK="1")
        meter = Meter(ctx, total, "downloading")

        def tick() -> None:
            meter.show(min(total, files.size_of(ctx.system, directory)))

        python = "%s/bin/python" % ctx.system.path(ctx.path("env"))
        try:
            ctx.run([python, "-I", child("hub_download.py")], "the download", env=env, input=json.dumps(job).encode(), tick=tick)
        except Stopped:
            raise
        except StepFailed as error:
            raise _explained(error, token) from None


def _explained(error: StepFailed, token: Optional[str]) -> StepFailed:
    """The child's last line is {"error", "status", "message"}. A token is cut out of whatever is said."""
    log = [line.replace(token, "***") if token else line for line in error.log]
    name, status, message = "", None, error.message.replace(token, "***") if token else error.message
    for line in [line for line in log if line.startswith('{"error"')]:
        try:
            said = json.loads(line)
            name, status, message = str(said["error"]), said.get("status"), str(said["message"])
            log.remove(line)  # said below, in words
        except ValueError:
            continue
    cause, hint = CAUSES.get(name) or ANSWERS.get(int(status or 0)) or (None, None)
    if name in FINAL and cause is None:
        cause = name
    if "No space left" in message:
        cause, hint = "disk full", "hosts probe shows the disks"
    return StepFailed("the download failed: %s" % (message.splitlines() or [""])[0][:500], cause=cause, hint=hint, log=log)
