"""Golden cases: what a compliance person would say, run against the gate and against the independent model."""
