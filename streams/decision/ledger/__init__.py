"""Everything the gate knows of one customer, and everything that changes it."""
