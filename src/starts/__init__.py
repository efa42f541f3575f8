"""What the instances of a stack start from, as an argument of any model: `model.start`."""

from src.starts.basin import Basin
from src.starts.edits import EqualGaps, EqualNorms, PermutedGaps, PermutedNorms, Scaled, Turned
from src.starts.fresh import FreshColumn
from src.starts.given import Between, Dipoles, Polar
from src.starts.patching import PatchingArms
from src.starts.start import Start
from src.starts.waves import Dipole, ScaledWaves, TurnedWaves

__all__ = [
    "Basin",
    "Between",
    "Dipole",
    "Dipoles",
    "EqualGaps",
    "EqualNorms",
    "FreshColumn",
    "PatchingArms",
    "PermutedGaps",
    "PermutedNorms",
    "Polar",
    "Scaled",
    "ScaledWaves",
    "Start",
    "Turned",
    "TurnedWaves",
]
