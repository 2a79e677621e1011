"""What Prometheus reads of a fleet, and a dashboard over it. Pure. Called by app for `metrics`."""

from typing import Any

from deployer.plan.roster import Roster
from deployer.spec.models import FleetSpec

#: (title, unit, expression, legend). One row of two panels each.
_PANELS = (
    ("Requests", "reqps", 'sum by (proxy) (rate(haproxy_backend_http_requests_total{proxy=~"be_.*"}[1m]))', "{{proxy}}"),
    (
        "Errors and refusals",
        "reqps",
        'sum by (proxy, code) (rate(haproxy_backend_http_responses_total{proxy=~"be_.*",code=~"4xx|5xx"}[1m]))',
        "{{proxy}} {{code}}",
    ),
    (
        "Time to first token, p95",
        "s",
        "histogram_quantile(0.95, sum by (deployment, le) (rate(vllm:time_to_first_token_seconds_bucket[5m])))",
        "{{deployment}}",
    ),
    ("Tokens made", "short", "sum by (deployment) (rate(vllm:generation_tokens_total[1m]))", "{{deployment}}"),
    ("Waiting at the gateway", "short", 'sum by (proxy) (haproxy_backend_current_queue{proxy=~"be_.*"})', "{{proxy}}"),
    ("Waiting in the engine", "short", "sum by (deployment, replica) (vllm:num_requests_waiting)", "{{deployment}}/{{replica}}"),
    ("Running", "short", "sum by (deployment, replica) (vllm:num_requests_running)", "{{deployment}}/{{replica}}"),
    (
        "Replicas that are up",
        "short",
        'sum by (proxy) (haproxy_server_status{proxy=~"be_.*",server!~"wait-.*",state="UP"})',
        "{{proxy}}",
    ),
)


def targets(fleet: FleetSpec, roster: Roster) -> list[dict[str, Any]]:
    """As `file_sd_configs` reads them: every gateway, then every replica. Without `gateway.metrics` there are none."""
    scrape = fleet.gateway.metrics
    if scrape is None:
        return []
    named = {n for n in fleet.gateway.hosts if n in fleet.hosts} | {n for n, h in fleet.hosts.items() if h.gateway is True}
    hosts = sorted(n for n in {p.host for p in roster.places} | named if n in fleet.hosts)

    def target(host: str, path: str, **labels: str) -> dict[str, Any]:
        address = (fleet.hosts[host].address or "127.0.0.1") if scrape and scrape.allow else "127.0.0.1"
        shown = f"[{address}]" if ":" in address else address
        labels = {"fleet": fleet.name, "host": host, "__metrics_path__": path, **labels}
        return {"targets": [f"{shown}:{scrape.port if scrape else 0}"], "labels": labels}

    gateways = [target(host, "/metrics", job="gateway") for host in hosts]
    replicas = [
        target(p.host, f"/{p.deployment}/{p.number}/metrics", job="engine", deployment=p.deployment, replica=str(p.number))
        for p in sorted(roster.places, key=lambda p: (p.deployment, p.number))
        if p.host in fleet.hosts
    ]
    return gateways + replicas


def dashboard(fleet: FleetSpec) -> dict[str, Any]:
    """For Grafana to import; the data source is chosen there."""
    return {
        "title": f"deployer {fleet.name}",
        "uid": f"deployer-{fleet.id}",
        "tags": ["deployer"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, fleet.name, *panel) for number, panel in enumerate(_PANELS)],
    }


def _panel(number: int, fleet: str, title: str, unit: str, expression: str, legend: str) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    chosen = _of_fleet(expression, fleet)
    return {
        "id": number + 1,
        "title": title,
        "type": "timeseries",
        "datasource": source,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": chosen, "legendFormat": legend}],
    }


def _of_fleet(expression: str, fleet: str) -> str:
    """The expression about this fleet's series alone: one Prometheus may watch several."""
    chosen = f'fleet="{fleet}"'
    if "{" in expression:
        return expression.replace("{", "{" + chosen + ",")
    name = next(word for word in expression.replace("(", " ").replace(")", " ").replace("[", " ").split() if "vllm:" in word)
    return expression.replace(name, f"{name}{{{chosen}}}")
