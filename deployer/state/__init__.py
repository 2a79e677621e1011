"""The frozen nouns that every stage passes on. Nothing here does I/O, and nothing here decides."""
