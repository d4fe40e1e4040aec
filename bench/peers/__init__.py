"""The same decisions on other frameworks, to compare with."""
