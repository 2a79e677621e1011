"""What the probe reads, one file per kind of fact. Each says what it could not read; unknown is not absent."""
