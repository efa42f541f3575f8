"""The loss over a whole distribution of examples: in closed form, by quadrature, or on a sample."""
