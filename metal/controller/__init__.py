"""Composes the stages: opens a workspace, looks, plans, judges, applies, watches."""
