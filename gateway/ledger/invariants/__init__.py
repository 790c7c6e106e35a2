"""The twelve invariants of the money, M1 to M12: each a function from the evidence to what breaks it."""
