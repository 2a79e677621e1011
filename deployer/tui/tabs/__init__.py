"""The tabs of one deployment's place, each of a file."""
