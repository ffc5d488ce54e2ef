"""Alembic migrations of the state store; metal/operations/schema.py runs them."""
