"""inventory.toml and profiles/ as the model, with file:line:column in every error."""

from metal.inventory.doubts import doubts
from metal.inventory.loading import load
from metal.inventory.mistakes import InventoryErrors, Mistake

__all__ = ["InventoryErrors", "Mistake", "doubts", "load"]
