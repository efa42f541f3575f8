"""Loss and gradient at speed: autograd for any model, a kernel in C++ for those that are pointwise functions of z.

A model's class names its objective by `computed_by`: `ReLUOutput` is the post's, `Pointwise` one that is written out
from its hooks. `objective_of` says what computes a model.
"""

from src.objective.autograd import Autograd
from src.objective.choice import objective_of
from src.objective.pointwise import Pointwise
from src.objective.relu_output import ReLUOutput

__all__ = ["Autograd", "Pointwise", "ReLUOutput", "objective_of"]
