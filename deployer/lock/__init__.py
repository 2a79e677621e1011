"""Stage 2: what the world said, pinned. `deployer lock` calls `resolve.update` and `file.write_lock`; every other command
only `file.read_lock` and `check.behind`, so that planning needs no network but SSH.
"""
