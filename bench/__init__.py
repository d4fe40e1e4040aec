"""Measurements. Nothing here is imported by the product; figures go to `bench/results/`."""
