"""What every unit of ours is kept from, whatever runs in it. Used by unit (replicas) and gateway.unit, each with what only it may
or may not do beside.
"""

APART = """\
UMask=0077
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
"""

UNPRIVILEGED = """\
NoNewPrivileges=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
"""
