"""Mutation testing of the decision core: what it needs, and which mutants no test can tell from the original."""
