"""`deployer status` with prices: a column for each deployment, a line for idle GPUs."""

from deployer.cli.status import render
from deployer.execute.standing import DeploymentState, Idle, Status


def test_costs_are_a_column_and_idle_gpus_a_line() -> None:
    chat = DeploymentState("chat", "deployed", 3, None, (), cost={"EUR": 2920.0})
    small = DeploymentState("small", "deployed", 1, None, ())
    said = render(
        Status("acme", "2026-11-20T12:00:00Z", (chat, small), (), Idle({"h1": 2, "h2": 1}, {"EUR": 4380.0}))
    ).splitlines()
    assert said[0].split() == ["NAME", "STATE", "REV", "REPLICAS", "ENDPOINT", "A", "MONTH", "WHERE"]
    assert "2,920 EUR" in said[1]
    assert "EUR" not in said[2]
    assert "idle GPUs: 4,380 EUR a month (2 on h1, 1 on h2)" in said


def test_without_prices_there_is_neither() -> None:
    said = render(Status("acme", "2026-11-20T12:00:00Z", (DeploymentState("chat", "deployed", 3, None, ()),), ()))
    assert "MONTH" not in said
    assert "idle" not in said
