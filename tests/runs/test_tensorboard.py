"""TensorBoard on a finished run: what it serves, read through its own HTTP API, and the link that opens it."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from src.figures.palette import FEATURE_COLORS
from src.runs.descriptions import DESCRIPTIONS, description
from src.runs.tensorboard_link import link, where_to_look
from tests.running import QUIET, run_cli

RUN = "hexagon/version_0"
CHARTS = ("feature_loss", "feature_norm", "gradient_norm")
WAIT_SECONDS = 60


def pins_of(address: str) -> list[dict[str, Any]]:
    pins: list[dict[str, Any]] = json.loads(parse_qs(urlsplit(address).query)["pinnedCards"][0])
    return pins


def test_the_link_pins_the_polygons_and_the_charts_of_the_post() -> None:
    tags = ["feature_norm/seed 11", "frobenius_norm/seed 11", "gradient_norm/seed 11", "feature_loss/seed 11"]
    tags += ["loss/seed 11", "n_learned/seed 11", "Pictures/polygons"]
    pins = pins_of(link(Path("logs"), Path("logs") / RUN, tags))
    assert pins[0] == {
        "plugin": "images",
        "tag": "Pictures/polygons",
        "runId": f"defaultExperimentId/{RUN}",
        "sample": 0,
    }
    charts = ("frobenius_norm", "gradient_norm", "feature_loss", "loss", "n_learned")
    assert [pin["tag"] for pin in pins[1:]] == [f"{chart}/seed 11" for chart in charts]


def test_the_link_of_a_large_stack_pins_what_is_said_of_all() -> None:
    tags = ["loss/seed 0", "loss/seed 1", "loss/all", "geometry_share"]
    assert [pin["tag"] for pin in pins_of(link(Path("logs"), Path("logs/a"), tags))] == ["geometry_share", "loss/all"]


@pytest.mark.parametrize("version", ["version_12", "night run (2)"])
def test_lines_are_coloured_alike_in_every_run(version: str) -> None:
    """A run itself, and each feature, is a group of its own; limits and quantiles are in none."""
    query = parse_qs(urlsplit(link(Path("logs"), Path("logs/a") / version, [])).query)
    pattern = query["runColorGroup"][0].removeprefix("regex:")
    found = {line: re.search(pattern, f"a/{version}{line}") for line in ("", "/feature_3", "/pentagon")}
    assert {line: match and match[1] for line, match in found.items()} == {line: line for line in found}
    assert not any(re.search(pattern, f"a/{version}/{line}") for line in ("sqrt_5", "lowest_5_percent"))
    assert re.search(query["runFilter"][0], f"a/{version}/feature_0")
    others = ("b/version_12/feature_0", f"old_a/{version}", f"a/{version}0/feature_0")
    assert not any(re.search(query["runFilter"][0], other) for other in others)


def test_a_run_that_is_the_logdir_itself_is_coloured_and_not_filtered() -> None:
    query = parse_qs(urlsplit(link(Path("logs"), Path("logs"), [])).query)
    pattern = query["runColorGroup"][0].removeprefix("regex:")
    assert [bool(re.search(pattern, line)) for line in (".", "feature_3", "sqrt_5")] == [True, True, False]
    assert "runFilter" not in query


def test_a_folder_in_the_users_home_is_one_that_tensorboard_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    trainer = Trainer(max_steps=1, **{**QUIET, "logger": TensorBoardLogger("~/logs", name="own")})
    text = " ".join(line.plain for line in where_to_look(trainer))
    assert f"--logdir {tmp_path}/logs " in text
    assert "runFilter=%5Eown/version_0" in text


def test_a_users_own_chart_has_no_description() -> None:
    assert description("temperature/seed 3") == ""
    assert description("feature_loss/seed 3") == DESCRIPTIONS["feature_loss"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    """The address of a TensorBoard with two runs, of which the second has an earlier name."""
    logs = tmp_path_factory.mktemp("logs")
    for config in ("pentagon", "hexagon"):
        assert run_cli(logs, config=f"configs/{config}.yaml", max_steps=3000) == 0
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    except OSError as error:
        pytest.skip(f"no port of this machine can be had: {error}")
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--samples_per_plugin", "images=500"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(WAIT_SECONDS * 2):
            if server.poll() is None and len(_runs(address)) > 0 and _pictures(address):
                break
            time.sleep(0.5)
        else:
            pytest.fail("TensorBoard did not serve the runs")
        yield address
    finally:
        server.terminate()
        server.wait()


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)


def _runs(address: str) -> list[str]:
    try:
        runs: list[str] = get(f"{address}data/runs")
    except (urllib.error.URLError, OSError):
        return []
    return runs


def _pictures(address: str) -> list[dict[str, Any]]:
    try:
        series = f"data/plugin/images/images?run={quote(RUN, safe='')}&tag=Pictures%2Fpolygons&sample=0"
        pictures: list[dict[str, Any]] = get(address + series)
    except (urllib.error.URLError, OSError):
        return []
    return pictures


@pytest.mark.slow
def test_tensorboard_serves_a_run_as_it_should_be_seen(served: str) -> None:
    runs = _runs(served)
    lines = [f"feature_{i}" for i in range(6)]
    assert sorted(run for run in runs if run.startswith("hexagon")) == [
        RUN,
        *(f"{RUN}/{line}" for line in (*lines, "sqrt_5")),
    ]
    # Colours are given out in this order, a group of runs each: the runs themselves, then feature after feature.
    order = list(dict.fromkeys(run.rpartition("version_0")[2] for run in runs))
    assert order[:7] == ["", *(f"/{line}" for line in lines)]
    assert len(FEATURE_COLORS) >= 6

    tags = get(f"{served}data/plugin/scalars/tags")
    of_feature = tags[f"{RUN}/feature_3"]
    assert sorted(of_feature) == sorted(f"{chart}/seed 11" for chart in CHARTS)
    for chart in CHARTS:
        assert of_feature[f"{chart}/seed 11"]["description"].startswith(f"<p>{DESCRIPTIONS[chart][:30]}")
    of_run = {tag.partition("/")[0] for tag in tags[RUN]}
    assert of_run == {"frobenius_norm", "loss", "n_learned", "outcome"}

    query = f"run={quote(f'{RUN}/feature_3', safe='')}&tag={quote('feature_loss/seed 11', safe='')}"
    points = get(f"{served}data/plugin/scalars/scalars?{query}")
    steps = [step for _, step, _ in points]
    assert (steps[0], steps[-1]) == (0, 3000)
    assert sum(step <= 450 for step in steps) > len(steps) / 3  # the beginning is inside the chart

    pictures = _pictures(served)
    assert len(pictures) == 60
    assert (pictures[0]["step"], pictures[-1]["step"]) == (0, 3000)
