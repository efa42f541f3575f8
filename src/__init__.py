"""Toy models of superposition, many at once.

The model compresses `feature` numbers into `hidden` ones and reconstructs them with the same matrix:

    h  = W x                  x' = ReLU(W^T h + b)

Symbols
-------
x       an example; each entry is 0 with probability 1 - p, otherwise uniform on [0, 1]
W       the weights; column i is the direction that stands for feature i in the hidden plane
b       the output bias
h       the hidden vector
p       `feature_probability`: how often a feature is active (not a sparsity: S = 1 - p)
T       the number of examples in a finite training set
n, m    the number of features and of hidden dimensions

Axes
----
Every tensor names its axes with the same words, in annotations, einsum strings and prose:

instance   independent models that train side by side; one seed each
step       optimizer steps that one Lightning batch carries
batch      examples
feature    entries of x and x'
hidden     entries of h

`W` is [instance, hidden, feature], `b` is [instance, feature], `x` is [batch, feature] when all
instances see the same data and [instance, batch, feature] when each has its own.

Units
-----
Losses are means over batch and features of (x - x')^2. Norms are lengths in the hidden space, where
a lone feature is reconstructed perfectly at length 1. Angles are radians.
"""
