"""One deployment of a fleet, as Python programs and the commands that name one see it."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from deployer.errors import DeployerError, LockfileError, Unreachable, UsageError
from deployer.state.observed import Observed, Unreached

if TYPE_CHECKING:
    from deployer.app.dossier import Dossier
    from deployer.app.fleet import Fleet
    from deployer.app.planned import Planned
    from deployer.app.streaming import Answer
    from deployer.execute.endpoint import Endpoint
    from deployer.execute.logs import LogLine, LogStream
    from deployer.execute.pool import Pool
    from deployer.execute.standing import DeploymentState


_Units = Mapping[str, Mapping[str, str]]  # host → unit → what is said of it


class Deployment:
    """`name` may be one that is in no file any more, as long as hosts remember it."""

    def __init__(self, fleet: "Fleet", name: str) -> None:
        self.fleet = fleet
        self.name = name

    def status(self) -> "DeploymentState":
        found = self.fleet.status((self.name,)).deployments
        if not found:
            raise self._unknown()
        return found[0]

    def look(self) -> "Dossier":
        """Everything the files and the hosts know of it, with its revisions whole. Hosts that do not answer are in it."""
        from deployer.app.dossier import dossier
        from deployer.app.worlds import now

        observed = self.fleet.probe(history=(self.name,))
        try:
            locked = self.fleet.locked()
        except LockfileError:
            locked = None  # a plan says so
        return dossier(self.fleet.spec, self.fleet.root, observed, self.name, now(), locked)

    def history(self, observed: Observed | None = None) -> list[dict[str, Any]]:
        """Revisions, newest first."""
        from deployer.execute.history import history

        observed = self.fleet.probe() if observed is None else observed
        found = history(observed, self.name)
        if not found:
            self._answered(observed)
        return found

    def logs(self, *, lines: int = 100, follow: bool = False, since: str | None = None) -> "Iterator[LogLine]":
        """The journals of its units, of all hosts in one stream."""
        from deployer.execute.logs import read_logs

        pool, fleet, units, sinks = self._units(None)
        return read_logs(pool, fleet, units, lines=lines, follow=follow, since=since, sinks=sinks)

    def requests(self, *, lines: int = 100, follow: bool = False, since: str | None = None) -> "Iterator[LogLine]":
        """The records of its requests, of all hosts in one stream; the text of each is a line of JSON. Raises UsageError where
        none are kept on hosts.
        """
        from deployer.execute.logs import read_logs

        pool, fleet, units, sinks = self._units(None)
        self._must_keep_records(sinks)
        return read_logs(pool, fleet, units, lines=lines, follow=follow, since=since, sinks=sinks, requests=True)

    def _must_keep_records(self, sinks: "_Units") -> None:
        kinds = {sink for found in sinks.values() for sink in found.values()}
        if not kinds:
            hint = "logging: {requests: metadata} in its file, then: deployer apply"
            raise UsageError(f"{self.name} keeps no records of its requests", hint=hint)
        if kinds == {"kafka"}:
            kafka = self.fleet.spec.deployments[self.name].logging.kafka if self.name in self.fleet.spec.deployments else None
            hint = f"read the topic {kafka.topic} of {kafka.servers}" if kafka is not None else "read them there"
            raise UsageError(f"{self.name} sends its records of requests to Kafka, none is on the hosts", hint=hint)

    def follow(
        self,
        *,
        lines: int = 100,
        replica: str | None = None,
        lost: "Callable[[str, DeployerError], None] | None" = None,
        requests: bool = False,
    ) -> "LogStream":
        """The last lines of its units, or of one replica ("chat/0"), and what comes from now on, until it is closed; with
        `requests` its records of requests instead. `lost` is told of a host whose log breaks off; without it that ends the
        stream.
        """
        from deployer.execute.logs import LogStream

        pool, fleet, units, sinks = self._units(replica)
        if requests:
            self._must_keep_records(sinks)
        wanted = {"lines": lines, "follow": True, "since": None, **({"requests": True} if requests else {})}
        return LogStream(pool, fleet, units, wanted, lost, sinks)

    def _units(self, replica: str | None) -> "tuple[Pool, Mapping[str, str], _Units, _Units]":
        from deployer.execute.logs import request_logs, units_of

        observed = self.fleet.probe()
        units = units_of(observed, self.name)
        if not units:
            self._answered(observed)
            raise DeployerError(f"no host has a unit of {self.name}", where=self.name, hint=f"deployer apply {self.name}")
        if replica is not None:
            units = {host: {u: r for u, r in found.items() if r == replica} for host, found in units.items()}
            units = {host: found for host, found in units.items() if found}
        fleet = {"id": self.fleet.spec.id, "name": self.fleet.spec.name}
        return self.fleet.pool, fleet, units, request_logs(observed, self.name)

    def failure(self) -> dict[str, Any] | None:
        """The first failure that was kept: {"at", "cause", "hint", "log", "revision", "host"}."""
        from deployer.state.observed import Reached

        found = []
        for host, reached in self.fleet.probe().items():
            if isinstance(reached, Reached) and self.name in reached.probe.get("failures", {}):
                found.append({**reached.probe["failures"][self.name], "host": host})
        return max(found, key=lambda f: str(f.get("at", "")), default=None)

    def endpoint(self, observed: Observed | None = None) -> "Endpoint":
        from deployer.app.kinds import asks
        from deployer.execute.endpoint import endpoint
        from deployer.plan.roster import Roster, latest

        if self.name not in self.fleet.spec.deployments:
            raise self._unknown()
        found = endpoint(self.fleet.spec, Roster(), self.name) if observed is None else None
        if found is None:
            observed = self.fleet.probe() if observed is None else observed
            found = endpoint(self.fleet.spec, latest(observed), self.name)
        if found is None:
            self._answered(observed or {})
            hint = "deployer apply places it; or name a gateway host in deployer.yaml"
            raise DeployerError(f"{self.name} has no address yet: it was never applied", where=self.name, hint=hint)
        return asks(found, self.fleet.loaded.root, self.fleet.spec.deployments[self.name])

    def _chats(self, found: "Endpoint") -> None:
        """Raises UsageError for a model that does not answer in words."""
        if not found.chats:
            raise UsageError(f"{self.name} does not chat: it answers {found.asked}", where=found.url, hint=found.curl)

    def predict(self, prompt: str, *, key: str | None = None, timeout_s: float = 120.0, **parameters: Any) -> str:
        """One chat answer from the endpoint. `key` is the client's key; parameters as max_tokens, temperature."""
        from deployer.app.streaming import why

        found = self.endpoint()
        self._chats(found)
        body = {"model": found.model, "messages": [{"role": "user", "content": prompt}], **parameters}
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        request = Request(f"{found.url}/chat/completions", json.dumps(body).encode(), headers)
        try:
            with urlopen(request, timeout=timeout_s) as answer:
                data = json.load(answer)
        except HTTPError as error:
            raise DeployerError(f"the endpoint answered {error.code}", where=found.url, hint=why(error.code)) from None
        except (URLError, OSError, ValueError) as error:
            raise DeployerError(f"the endpoint did not answer: {error}", where=found.url, hint="deployer status") from None
        return str(data["choices"][0]["message"]["content"])

    def stream(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        key: str | None = None,
        chat: bool = True,
        endpoint: "Endpoint | None" = None,
        timeout_s: float = 120.0,
        **parameters: Any,
    ) -> "Answer":
        """As predict, but piece by piece while it is made, and it can be closed. `messages` are {"role", "content"}; with
        `chat` False the last one's text is completed as it is. `endpoint`: when it is known already.
        """
        from deployer.app.streaming import Answer

        found = self.endpoint() if endpoint is None else endpoint
        self._chats(found)
        asked = {"messages": [dict(one) for one in messages]} if chat else {"prompt": messages[-1]["content"]}
        path = "chat/completions" if chat else "completions"
        body = {"model": found.model, **asked, **parameters}
        refused = f"it answers on {found.gateway} alone" if found.loopback else f"deployer status {self.name}"
        return Answer(f"{found.url}/{path}", body, key=key, timeout_s=timeout_s, refused=refused)

    def stop(self, *, why: str | None = None) -> "Planned":
        return self.fleet.hold([self.name], "stopped", why=why)

    def start(self) -> "Planned":
        return self.fleet.hold([self.name], None)

    def restart(self) -> "Planned":
        return self.fleet.restart([self.name])

    def rollback(self, revision: int | None = None, *, why: str | None = None) -> "Planned":
        return self.fleet.rollback(self.name, revision, why=why)

    def promote(self) -> "Planned":
        return self.fleet.promote(self.name)

    def revert(self, *, why: str | None = None) -> "Planned":
        return self.fleet.revert(self.name, why=why)

    def release(self) -> "Planned":
        return self.fleet.release(self.name)

    def destroy(self, *, why: str | None = None) -> "Planned":
        return self.fleet.hold([self.name], "destroyed", why=why)

    def _answered(self, observed: Observed) -> None:
        """Nothing was found of it. Raises unless all hosts answered and a file has it: unknown is not absent."""
        silent = [(name, found) for name, found in observed.items() if isinstance(found, Unreached)]
        if silent:
            name, first = silent[0]
            others = f"; nor did {', '.join(name for name, _ in silent[1:])}" if len(silent) > 1 else ""
            what = f"nothing is known of {self.name}: {name} did not answer ({first.message}){others}"
            raise Unreachable(what, where=self.name, hint=first.hint or f"deployer hosts probe {name}", kind=first.kind)
        if self.name not in self.fleet.spec.deployments:
            raise self._unknown()

    def _unknown(self) -> UsageError:
        names = sorted(self.fleet.spec.deployments)
        close = difflib.get_close_matches(self.name, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"deployments/ has: {', '.join(names) or 'nothing yet'}"
        return UsageError(f"there is no deployment {self.name} in this fleet", hint=hint)
