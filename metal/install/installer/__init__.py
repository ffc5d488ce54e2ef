"""The Debian installer that servers boot: checked, pinned with all its components, and kept."""
