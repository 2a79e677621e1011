"""Text on a host's disk, made from values: systemd units, haproxy configuration. Pure."""
