"""What is wanted, what is seen, a server's life, plans and their laws: pure data."""
