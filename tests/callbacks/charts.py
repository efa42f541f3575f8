"""What TensorBoard shows of a run, read back from its event files."""

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import HISTOGRAMS, IMAGES, SCALARS, EventAccumulator


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def images(run: Path, tag: str) -> list[bytes]:
    events = EventAccumulator(str(run), size_guidance={IMAGES: 0})
    events.Reload()
    return [event.encoded_image_string for event in events.Images(f"Pictures/{tag}")]


def histograms(folder: Path) -> dict[str, dict[int, Any]]:
    events = EventAccumulator(str(folder), size_guidance={HISTOGRAMS: 0}).Reload()
    return {tag: {e.step: e.histogram_value for e in events.Histograms(tag)} for tag in events.Tags()["histograms"]}
