"""The gateway's systemd unit."""

from deployer.render import names, programs
from deployer.render.gateway.model import HAPROXY, GatewayConfig
from deployer.render.quote import unit_command
from deployer.render.sandbox import APART, UNPRIVILEGED
from deployer.render.unit import PYTHON

_HARDENING = f"""\
{APART}\
PrivateDevices=yes
{UNPRIVILEGED}\
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN CAP_NET_BIND_SERVICE
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
"""


def gateway_unit(config: GatewayConfig) -> str:
    """The service. The master stays root, so that it can read keys (0600 root) again; the workers are user haproxy."""
    directory = names.gateway_directory(config.fleet)
    check = f"{HAPROXY} -c -q -f {directory}"
    return f"""\
# Made by deployer for fleet {config.fleet}, id {config.fleet_id}.
# What is changed by hand here is shown as drift and put back.
[X-Deployer]
Fleet={config.fleet}
FleetId={config.fleet_id}
Gateway=yes

[Unit]
Description=deployer {config.fleet} gateway
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
SyslogIdentifier={names.gateway_unit_name(config.fleet).removesuffix(".service")}
RuntimeDirectory={config.runtime.removeprefix("/run/")}
RuntimeDirectoryMode=0700
ExecStartPre={check}
ExecStart={HAPROXY} -Ws -f {directory} -S {config.master},mode,600,level,admin
ExecReload={check}
ExecReload={unit_command((PYTHON, "-I", "-c", programs.RELOAD, config.master))}
KillMode=mixed
Restart=always
RestartSec=1
SuccessExitStatus=143
TimeoutStopSec=15
LimitNOFILE=65536
{_HARDENING}
[Install]
WantedBy=multi-user.target
"""
