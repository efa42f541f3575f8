"""A long run takes no more memory, files or threads late than early."""

import pytest

from benchmarks.long_run import long_run

MIB_OF_RECORDS = 8  # what a thousand records of one instance may take, in tensors and in charts


@pytest.mark.slow
def test_memory_files_and_threads_of_a_long_run_are_bounded() -> None:
    rows = long_run(max_steps=60_000, n_records=1200, every=0.25)
    early = [row for row in rows if 5_000 < row["step"] <= 20_000]
    late = [row for row in rows if 45_000 < row["step"] < 60_000]  # at the last step the pictures are made
    noise = MIB_OF_RECORDS + 16  # the allocator's
    assert max(row["memory_MiB"] for row in late) < min(row["memory_MiB"] for row in early) + noise
    for name in ("open_files", "threads", "files"):  # a look may fall into a save, which has one file more
        assert min(row[name] for row in late) <= min(row[name] for row in early)
    assert late[-1]["checkpoint_MiB"] < 1
