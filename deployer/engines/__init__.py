"""One file per engine. `ENGINES` is kept by hand: an engine that is not in it does not exist."""
