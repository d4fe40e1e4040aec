"""Policy file → checked specification with its zones and holidays, or everything that is wrong with it."""
