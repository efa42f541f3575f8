"""What the instances of a stack start from, as an argument of any model: `model.start`."""

from src.starts.basin import Basin
from src.starts.patching import PatchingArms
from src.starts.start import Start

__all__ = ["Basin", "PatchingArms", "Start"]
