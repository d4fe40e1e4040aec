"""The demonstration: made-up customers, what they say, what systems want to send them, and a gate to watch at it."""
