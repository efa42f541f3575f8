"""What a finite training set's examples became."""

import torch

from src.model import ReLUOutputModel
from src.results.examples import examples_text, of_examples


def test_each_instance_has_the_loss_on_its_examples_and_what_they_form() -> None:
    model, x = ReLUOutputModel(4, n_instances=2), torch.eye(4)
    model.W.data = torch.tensor([[1.0, 0, -1, 0], [0, 1, 0, -1]]).repeat(2, 1, 1)
    model.W.data[1] *= 0.1
    square, other = of_examples(model, x)
    assert square == {"training_loss": 0.0, "example_geometry": "square"}
    assert other["training_loss"] > 0.2


def test_many_examples_form_nothing_that_has_a_name() -> None:
    (row,) = of_examples(ReLUOutputModel(4), torch.rand(101, 4))
    assert row["example_geometry"] == ""


def test_the_sentence_says_what_the_examples_form_and_which_loss_is_which() -> None:
    row = {"training_loss": 0.00199, "loss": 0.01, "example_geometry": "pentagon"}
    one = examples_text([row], 5)
    assert one == (
        "The 5 training examples form: pentagon. "
        "The loss on the training set is 0.00199; on fresh examples, as above, 0.01000."
    )
    several = examples_text([row, row, {**row, "example_geometry": "irregular"}], 5)
    assert several.startswith("The 5 training examples form: 2 pentagons, 1 irregular. The median loss")
    assert examples_text([{**row, "example_geometry": ""}], 500).startswith("The loss on the training set")
