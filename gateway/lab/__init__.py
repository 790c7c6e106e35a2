"""The laboratory: the real policies against a simulated market, beside what people use today."""
