"""Throwaway real hosts on this machine."""
