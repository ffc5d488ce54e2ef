"""How wide the person's terminal is."""

import shutil


def width() -> int:
    """Cells a line may have: COLUMNS, the terminal's, or 80; never below 40."""
    return max(40, shutil.get_terminal_size((80, 25)).columns)
