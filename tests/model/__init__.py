"""A second, slow implementation of docs/semantics.md that shares no code with `streams`."""
