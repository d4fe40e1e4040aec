"""The core against the independent model, and against its own promises, over random policies and histories."""
