"""Tests of the decision core where a golden case would be clumsy: binary forms, pruning, limits, tables."""
