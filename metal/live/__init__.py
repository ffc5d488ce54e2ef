"""A small Debian that runs from memory: what a burn-in, a wipe and an image install happen in."""
