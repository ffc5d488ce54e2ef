"""metal: from a pallet of donated servers to running VMs."""

__version__ = "0.1.0"
