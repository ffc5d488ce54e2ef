"""The calls about high availability."""
