"""What runs in the live system: plain Python, its standard library and Debian's tools.

Started by /init as `python3 -m agent`. It imports nothing of metal, and metal nothing of it but
its files (metal/live/build.py): the two meet over HTTP alone.
"""
