"""`make bench`: what things cost, each beside something to compare it with, in one run.

CPU seconds (user and system) and peak memory as getrusage tells them; nothing is asserted.
"""
