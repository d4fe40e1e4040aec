"""The outside check: sound runs are clean, and each planted violation is found and nothing else."""
