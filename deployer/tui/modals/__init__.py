"""Questions and panels above a place."""
