"""A change in words: what it is about, and what it costs. Used by text, Markdown and the front ends."""

from collections.abc import Callable

from deployer.plan import costs
from deployer.plan.counts import verb
from deployer.plan.model import LOG_FILES, Change, Rollout
from deployer.plan.starts import NOT_SEEN
from deployer.plan.words import count, duration, size
from deployer.state.resources import Kind, Resource


def subject(change: Change) -> str:
    """As "model org/name 0e9e39f", "chat/0 on GPU 0, port 20000"."""
    resource = change.after or change.before
    if resource is None:
        return f"unfinished run {change.name.removeprefix('run:')}"
    if resource.kind is Kind.DEPLOYMENT:
        return _noted(change)
    return _SUBJECTS.get(resource.kind, _plain)(resource)


def _plain(resource: Resource) -> str:
    return f"{resource.kind} {resource.name}"


def _model(resource: Resource) -> str:
    name = resource.attribute("model")
    revision, conversion = resource.attribute("revision"), resource.attribute("conversion")
    more = revision.value if revision else f"as {str(conversion.value).removeprefix('as ')}" if conversion else ""
    return f"model {name.value if name else resource.name} {more}".rstrip()


def _scripts(resource: Resource) -> str:
    return f"scripts of {resource.name.partition('/')[0].removeprefix('scripts--')} {resource.name.rpartition('/')[2]}"


def _replica(resource: Resource) -> str:
    gpus = resource.payload.get("gpus", [])
    share = f"{resource.payload['share']}% of " if "share" in resource.payload else ""
    on = f" on {share}{count(len(gpus), 'GPU')}" if gpus else ""
    return f"{resource.name}{on}, port {resource.payload['port']}"


def _endpoint(resource: Resource) -> str:
    return f"endpoint /{resource.name}/v1"


def _gateway(resource: Resource) -> str:
    return f"gateway on port {resource.payload['port']}"


def _noted(change: Change) -> str:
    word = verb(change)
    if word == "update" and change.deltas:
        return f"{change.name} {', '.join(d.name for d in change.deltas)}"
    if word != "delete":
        return f"{change.name}: noted on the host"
    return f"{change.name}: its history{' and the files of its request log' if change.data.get(LOG_FILES) else ''} on the host"


def _foreign(resource: Resource) -> str:
    return f"{resource.name}, made by hand: {resource.payload['deployment']} takes over"


def _history(resource: Resource) -> str:
    numbers = resource.payload["numbers"]
    said = ", ".join(map(str, numbers)) if len(numbers) < 6 else f"{numbers[0]} … {numbers[-1]}, {len(numbers)} of them"
    return f"{resource.name}: revision{'s' * (len(numbers) != 1)} {said}"


_SUBJECTS: dict[Kind, Callable[[Resource], str]] = {
    Kind.MODEL: _model,
    Kind.SCRIPTS: _scripts,
    Kind.REPLICA: _replica,
    Kind.ENDPOINT: _endpoint,
    Kind.GATEWAY: _gateway,
    Kind.FOREIGN: _foreign,
    Kind.HISTORY: _history,
}


def cost(change: Change) -> str:
    """As "download 15.0 GiB", "stops first, about 60 s of downtime", "no restart"."""
    word, kind = verb(change), change.kind
    if word == "undo":
        return "put back what it had begun"
    if word == "adopt":
        return "stops, and is disabled, once ours answers"
    if word == "delete":
        return f"{_deleted(change)}{_month(change)}"
    if kind is Kind.REPLICA:
        return f"{_replica_cost(change, word)}{_month(change)}"
    if kind is Kind.MODEL and change.after is not None:
        return _model_cost(change.after)
    if kind is Kind.ENVIRONMENT and change.after is not None:
        packages = change.after.attribute("packages")
        pushed = f", {size(change.impact.download_bytes)} pushed" if change.impact.download_bytes else ""
        return f"build from {count(int(packages.value or 0), 'package') if packages else 'its lock'}{pushed}"
    if kind in (Kind.TOOL, Kind.SCRIPTS):
        return f"push {size(change.impact.download_bytes)}"
    if kind is Kind.PACKAGE:
        return "install"
    if kind in (Kind.ENDPOINT, Kind.GATEWAY):
        return "new" if word == "create" else "reload, no connection dropped"
    return "new" if word == "create" else "no restart"


def _month(change: Change) -> str:
    more = costs.total((change,))
    return f"; {costs.words(more, sign=True)} a month" if more else ""


def _model_cost(model: Resource) -> str:
    method = model.payload.get("method")
    if method == "convert":
        return "convert on the host"
    if method == "copy":
        return f"copied from {model.payload['from']}, about {size(model.download_bytes)}"
    return f"{'download' if method == 'download' else 'push'} {size(model.download_bytes)}"


def _replica_cost(change: Change, word: str) -> str:
    if word == "create":
        return f"new{_expected(change)}; nothing else stops"
    if word == "update":
        return change.reason if change.reason in ("stopped", "started again") else "no restart"
    down = change.impact.downtime_s
    if down is not None:
        basis = change.impact.start_basis
        return f"stops first, about {duration(down)} of downtime{f', {basis}' if basis else ''}"
    if change.beside:
        return f"new one first{_expected(change)}, no downtime"
    return f"in turn{f', wave {change.wave}' if change.wave > 1 else ''}{_expected(change)}; no downtime"


def rollout_words(rollout: Rollout) -> str:
    """As "rolling in 2 waves: no room beside the old one: …"."""
    waves = f" in {count(rollout.waves, 'wave')}" if rollout.strategy == "rolling" else ""
    return f"{rollout.strategy}{waves}: {rollout.why}"


def _expected(change: Change) -> str:
    """When it is up. Of a start that nobody has seen there is nothing to say."""
    impact = change.impact
    if impact.start_s is None or impact.start_basis == NOT_SEEN:
        return ""
    return f", up in about {duration(impact.start_s)}"


def _deleted(change: Change) -> str:
    before = change.before
    if before is not None and before.kind is Kind.MODEL and before.disk_bytes:
        return f"{change.reason}; frees {size(before.disk_bytes)}"
    return change.reason
