"""Data as lines for people: pure functions, tried by golden files."""
