"""Readers of what other tools write: one module per format, each a function `read(files, options)` that yields records."""
