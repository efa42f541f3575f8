"""Paths that configurations of older runs name, and what they are now."""

import re
from typing import Any

# Models that were also starts: what they are now, with the arguments that went to the start.
STARTS = {
    "src.initialisations.ReLUOutputBasin": ("src.starts.Basin", ("seed", "column", "size", "reach")),
    "src.initialisations.ReLUOutputPatchingArms": (
        "src.starts.PatchingArms",
        ("census", "arms", "draw_seed", "max_recipients"),
    ),
}
MOVED = {
    "src.schedules.WarmupCosine": "src.training.WarmupCosine",
    "src.initialisations.Basin": "any model with model.start: src.starts.Basin",
    "src.initialisations.PatchingArms": "any model with model.start: src.starts.PatchingArms",
    "configs/population.yaml": "configs/data/population.yaml",
    "configs/regimes/laptop.yaml": "configs/regimes.yaml",
    "configs/regimes/paper.yaml": "configs/regimes.yaml and configs/references/henighan_2023.yaml",
    **{old: f"src.model.ReLUOutputModel with model.start: {new}" for old, (new, _) in STARTS.items()},
}

TRAINING = ("callbacks.patching.PatchColumns",)
RENAMED = {  # arguments
    **{
        name: f"{name} is an argument of the start: --model.start {new.rpartition('.')[2]} --model.start.{name}."
        for new, names in STARTS.values()
        for name in names
    },
    "every_n_steps": (
        "every_n_steps of a callback is now n_records, how often it records in a whole run; in place of an older run's "
        "config.yaml, name the experiment's own, such as configs/hexagon.yaml."
    ),
}

# Settings that older runs do not name, and what they had.
SINCE = {"model.init_args.on_divergence": "stop"}


def where_now(message: str) -> str | None:
    """The sentence that says what to use, if the message names something that has moved."""
    unknown = re.search(r"(?:Option|Key) '(\w+)' is not (?:accepted|expected)", message)
    if unknown and unknown[1] in RENAMED:
        return RENAMED[unknown[1]]
    old = next((path for path in sorted(MOVED, key=len, reverse=True) if path in message), None)
    return None if old is None else f"{old} has moved; use {MOVED[old]}."


def as_today(settings: dict[str, Any]) -> dict[str, Any]:
    """The flat settings of an older run under today's names."""
    start, names = STARTS.get(settings.get("model.class_path", ""), (None, ()))
    renamed = {f"model.init_args.{name}": f"model.init_args.start.init_args.{name}" for name in names}
    today = {renamed.get(key, key): value for key, value in settings.items()}
    if start is not None:
        today.update({"model.class_path": "src.model.ReLUOutputModel", "model.init_args.start.class_path": start})
    return {key: MOVED.get(value, value) if isinstance(value, str) else value for key, value in today.items()}


def that_train(callbacks: Any) -> Any:
    """Of the settings of callbacks those that change what a run ends in: this project's own record and show."""
    if not isinstance(callbacks, list):
        return callbacks
    return [own for own in callbacks if own["class_path"] in TRAINING or not own["class_path"].startswith("callbacks.")]


def states_as_today(states: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's states of callbacks under today's names, which hold the callbacks' arguments."""
    return {re.sub(r"\{'every_n_steps': \d+, ", "{'n_records': None, ", name): state for name, state in states.items()}
