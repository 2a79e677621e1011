"""Throwaway real hosts on this machine: systemd and sshd in systemd-nspawn, each with a network of its own.

`lab.lab` is what others call. What runs is asked from the kernel each time (processes, mounts, namespaces), so a crash
of the machine or a killed command leaves nothing that has to be believed.
"""
