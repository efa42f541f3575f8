"""A long run takes no more memory, files or threads at its end than early on."""

import pytest

from benchmarks.long_run import long_run

MIB_OF_RECORDS = 8  # what a thousand records of one instance may take, in tensors and in charts


@pytest.mark.slow
def test_memory_files_and_threads_of_a_long_run_are_bounded() -> None:
    rows = long_run(max_steps=60_000, n_records=1200, every=0.5)
    early, later = rows[len(rows) // 3], rows[-3:]
    assert early["step"] < 40_000
    assert max(row["memory_MiB"] for row in later) < early["memory_MiB"] + MIB_OF_RECORDS + 16  # the allocator's noise
    for name in ("open_files", "threads", "files"):
        assert {row[name] for row in later[:-2]} == {early[name]}
    assert later[0]["checkpoint_MiB"] < 1
