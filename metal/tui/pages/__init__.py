"""What each page says: pure functions, snapshot → lines."""
