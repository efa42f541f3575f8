"""A cluster that cannot be is refused in one sentence, without Ray having to be there."""

import functools
import socket
import sys
from pathlib import Path

import pytest

from src.errors import ConfigError
from src.sweep import __main__ as sweep
from src.sweep.ray_cluster import cluster
from tests.sweep.sweeping import BASE

MUST = "it must be `auto`, or HOST:PORT as `ray start --head` prints it."


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a sweep that cannot begin prints."""
    assert sweep.main([*BASE, "--shards=2", f"--out={folder / 'sweep'}", "--engine=ray", *arguments]) == 2
    assert not (folder / "sweep").exists()
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize("address", ["nonsense", "ray://host:1", "host:", "host:99999", "a b:1"])
def test_what_is_no_address_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused, cluster(tmp_path, address, 1.0, 0.0):
        pass
    assert str(refused.value) == f"--address is {address}; {MUST}"


@pytest.mark.slow
def test_an_address_where_nothing_answers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        wanted = "it must be a Ray cluster that answers: Connection refused."
        assert refusal(tmp_path, capsys, f"--address={address}") == f"error: --address is {address}; {wanted}\n"


def test_without_ray_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = "--engine is ray, and Ray is missing; install it: pip install -e '.[ray]'."
    assert refusal(tmp_path, capsys) == f"error: {said}\n"


@pytest.mark.slow
def test_a_server_that_is_no_cluster_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        wanted = "it must be a Ray cluster; what answers there is none."
        assert refusal(tmp_path, capfd, f"--address={address}") == f"error: --address is {address}; {wanted}\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_auto_without_a_cluster_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="Ray is an extra: pip install -e '.[ray]'")
    none_found = functools.cache(set)  # another test's may be there
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", none_found)
    monkeypatch.setattr("ray._private.utils.read_ray_address", lambda *arguments: None)
    err = refusal(tmp_path, capfd, "--address=auto")
    assert err.startswith("error: --address is auto; it must be a Ray cluster that this machine is part of: ")
    assert err.count("\n") == 1
