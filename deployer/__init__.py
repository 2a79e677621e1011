"""Declarative deployment of self-hosted models: YAML in git, plan and apply over SSH."""

__version__ = "0.1.0"
