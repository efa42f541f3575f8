"""Loss and gradient at speed: autograd for any model, a kernel in C++ for the ReLU output model.

A model's class names its objective by `computed_by`: `Autograd`, or `ReLUOutput` for the post's.
"""

from src.objective.autograd import Autograd, objective_of
from src.objective.relu_output import ReLUOutput

__all__ = ["Autograd", "ReLUOutput", "objective_of"]
