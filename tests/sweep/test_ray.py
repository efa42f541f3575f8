"""A sweep on a Ray cluster comes to the same tables as on one machine, whatever is lost on the way."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.runs.folder import CENSUS, CHECKPOINT, CONFIG, FINISHED, RATES, read_settings
from src.sweep import __main__ as sweep
from src.sweep.ray_cluster import machines_of
from tests.running import ROOT
from tests.sweep.sweeping import BASE, CALLBACKS

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install -e '.[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

MANY, FEW = 16, 6  # shards; few where no more is to be seen
INSTANCES = 4  # of each
SAVING = [*CALLBACKS[:-1], {**CALLBACKS[-1], "init_args": {"every_n_steps": 100}}]
LONG = ["--trainer.max_steps=4000", f"--trainer.callbacks={json.dumps(SAVING)}"]


def shards(n: int) -> list[str]:
    return [*LONG, f"--model.n_instances={n * INSTANCES}", f"--shards={n}"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the engine of one machine comes to."""
    return on_one_machine(tmp_path_factory.mktemp("local"), MANY)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return on_one_machine(tmp_path_factory.mktemp("local"), FEW)


def on_one_machine(folder: Path, n: int) -> Path:
    command = [sys.executable, "-m", "src.sweep", *BASE, *shards(n), f"--out={folder}", "--jobs=2"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two machines of one CPU each."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    found.add_node(num_cpus=1)
    yield found
    found.shutdown()


def start(cluster: Any, folder: Path, *arguments: str, n: int = FEW) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "src.sweep", *BASE, *shards(n), f"--out={folder}"]
    command += ["--engine=ray", f"--address={cluster.address}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(happened: Callable[[], bool], sweeping: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not happened():
        assert sweeping.poll() is None, sweeping.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def is_amid(folder: Path) -> bool:
    """Whether some shards are finished and at least two others have saved a checkpoint."""
    finished = {path.parent for path in folder.glob(f"seeds/*/{FINISHED}")}
    saved = {path.parent.parent for path in folder.glob(f"seeds/*/{CHECKPOINT}")}
    return len(finished) >= 3 and len(saved - finished) >= 2


def assert_same(folder: Path, reference: Path) -> None:
    assert (folder / RATES).read_bytes() == (reference / RATES).read_bytes()
    censuses = sorted(path.relative_to(reference) for path in reference.glob(f"seeds/*/{CENSUS}"))
    assert len(censuses) == len(list(folder.glob(f"seeds/*/{CENSUS}"))) in (MANY, FEW)
    for census in censuses:
        assert (folder / census).read_bytes() == (reference / census).read_bytes()


def n_resumed(folder: Path) -> int:
    """How many shards went on from a checkpoint."""
    configs = folder.glob(f"seeds/*/{CONFIG}")
    return sum(read_settings(path.parent).get("ckpt_path") is not None for path in configs)


def ended(sweeping: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = sweeping.communicate(timeout=200)
    return sweeping.returncode, out, err


def test_a_machine_that_is_lost_costs_nothing_but_time(cluster: Any, many: Path, tmp_path: Path) -> None:
    sweeping = start(cluster, tmp_path, n=MANY)
    wait_for(lambda: is_amid(tmp_path), sweeping)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    status, out, err = ended(sweeping)
    assert (status, err) == (0, "")
    assert "failed" not in out
    assert f"{MANY}/{MANY}" in out
    assert "on 1 machine" in out
    assert n_resumed(tmp_path) >= 1
    assert_same(tmp_path, many)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_by_a_signal_is_replaced(number: int, cluster: Any, few: Path, tmp_path: Path) -> None:
    sweeping = start(cluster, tmp_path)
    wait_for(lambda: is_amid(tmp_path), sweeping)
    raylets = [node.all_processes["raylet"][0].process.pid for node in (cluster.head_node, *cluster.worker_nodes)]
    workers = [child for pid in raylets for child in psutil.Process(pid).children() if child.name().startswith("ray::")]
    busy = [worker for worker in workers if worker.cmdline()[0].startswith("ray::_run")]
    assert busy
    busy[0].send_signal(number)
    status, _, err = ended(sweeping)
    assert (status, err) == (0, "")
    assert n_resumed(tmp_path) >= 1
    assert_same(tmp_path, few)


def test_a_sweep_whose_driver_is_killed_goes_on_with_the_same_command(cluster: Any, few: Path, tmp_path: Path) -> None:
    sweeping = start(cluster, tmp_path)
    wait_for(lambda: is_amid(tmp_path), sweeping)
    sweeping.kill()
    sweeping.communicate()
    n_finished = len(list(tmp_path.glob(f"seeds/*/{FINISHED}")))
    status, _, err = ended(start(cluster, tmp_path))
    assert (status, err) == (0, "")
    assert 3 <= n_finished < FEW
    assert n_resumed(tmp_path) >= 1
    assert_same(tmp_path, few)


def test_ctrl_c_leaves_every_shard_to_go_on_from(cluster: Any, few: Path, tmp_path: Path) -> None:
    sweeping = start(cluster, tmp_path)
    wait_for(lambda: is_amid(tmp_path), sweeping)
    sweeping.send_signal(signal.SIGINT)
    status, _, err = ended(sweeping)
    assert (status, err) == (130, "Stopped. The same command skips what is finished and goes on with the rest.\n")
    assert any("Stopped at step" in path.read_text() for path in tmp_path.glob("seeds/*.txt"))
    status, _, err = ended(start(cluster, tmp_path))
    assert (status, err) == (0, "")
    assert_same(tmp_path, few)


def test_without_an_address_it_starts_a_cluster_and_stops_it(few: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "src.sweep", *BASE, *shards(FEW), f"--out={tmp_path}", "--engine=ray"]
    sweeping = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: is_amid(tmp_path), sweeping)
    started = psutil.Process(sweeping.pid).children(recursive=True)
    assert any(process.name().startswith("raylet") for process in started)
    status, out, err = ended(sweeping)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].startswith("cells 6/6")
    _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []
    assert_same(tmp_path, few)


def test_a_shard_that_fails_by_itself_is_not_tried_again(cluster: Any, tmp_path: Path) -> None:
    sgd = [f"--config={ROOT}/configs/optimizers/sgd.yaml", "--model.optimizer.init_args.lr=1e6"]
    status, out, err = ended(start(cluster, tmp_path, *sgd, "--data.block_size=1"))
    failed = f"error: {FEW} of {FEW} cells failed; the same command runs what failed again.\n"
    assert (status, err) == (1, failed)
    assert out.count("exit status 1: The loss became non-finite at step") == FEW
    assert n_resumed(tmp_path) == 0


def test_a_machine_that_does_not_see_the_folder_is_named(cluster: Any, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    hidden = f"mount -t tmpfs none {folder} && exec ray start --address={cluster.address} --num-cpus=1 --block"
    apart = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this process may not give another one file systems of its own")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    node = subprocess.Popen(
        [*apart, "sh", "-c", hidden],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        end = time.monotonic() + 60
        while len(machines_of(ray)) < 3:
            assert time.monotonic() < end
            time.sleep(0.1)
        ray.shutdown()
        status, out, err = ended(start(cluster, folder))
        assert (status, out) == (2, "")
        assert err.startswith(
            f"error: --out is {folder}; it must be on storage that every machine of the cluster sees; "
        )
        assert err.count("\n") == 1
    finally:
        node.terminate()
        node.wait()


def test_a_cluster_of_another_version_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, python = ray.__version__, platform.python_version()
    monkeypatch.setattr(ray, "__version__", "1.2.3")
    command = [*BASE, "--shards=2", f"--out={tmp_path / 'sweep'}", "--engine=ray", f"--address={cluster.address}"]
    assert sweep.main(command) == 2
    found, wanted = f"a cluster of Ray {theirs} with Python {python}", f"one of Ray 1.2.3 with Python {python}, as here"
    assert capsys.readouterr() == ("", f"error: --address is {cluster.address}, {found}; it must be {wanted}.\n")
    assert not (tmp_path / "sweep").exists()


def test_a_shard_larger_than_every_machine_is_refused(
    cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*BASE, "--shards=2", f"--out={tmp_path}", "--engine=ray", f"--address={cluster.address}"]
    assert sweep.main([*command, "--cpus-per-shard=2"]) == 2
    wanted = "at most 1, the most that a machine of the cluster has"
    assert capsys.readouterr() == ("", f"error: --cpus-per-shard is 2; it must be {wanted}.\n")
