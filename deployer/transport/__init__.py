"""Bytes to a host and back: one seam with three sides (ssh, local, fake)."""
