from __future__ import annotations

import stat
from pathlib import Path

from edge.camera.segment import PREFIX, Segment, remove_stale
from edge.camera.shared_frame import FrameReader
from tests.streams import kill_hard, python

HOLD_FOR_EVER = """
import sys, time
from pathlib import Path
from edge.camera.segment import Segment
segment = Segment("b", directory=Path(sys.argv[1]), capacity_pixels=100)
print(segment.path, flush=True)
time.sleep(600)
"""


def test_a_segment_is_private_sparse_and_goes_with_its_owner(tmp_path: Path) -> None:
    segment = Segment("a", directory=tmp_path)
    status = segment.path.stat()
    assert segment.path.name.startswith(f"{PREFIX}a-")
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size > 2 * 3 * 16_000_000
    assert status.st_blocks * 512 < 100_000
    segment.close()
    segment.close()
    assert list(tmp_path.iterdir()) == []


def test_two_daemons_may_have_a_camera_of_the_same_name(tmp_path: Path) -> None:
    one, other = (Segment("a", directory=tmp_path, capacity_pixels=100) for _ in range(2))
    assert one.path != other.path
    one.close()
    other.close()


def test_only_what_a_dead_owner_left_is_removed(tmp_path: Path) -> None:
    mine = Segment("a", directory=tmp_path, capacity_pixels=100)
    foreign = tmp_path / "another-program"
    foreign.write_bytes(b"x")
    with python(HOLD_FOR_EVER, str(tmp_path)) as owner:
        assert owner.stdout is not None
        path = Path(owner.stdout.readline().strip())
        assert remove_stale(tmp_path) == []
        reader = FrameReader(path)
        kill_hard(owner.pid)
    assert remove_stale(tmp_path) == [path]
    assert sorted(tmp_path.iterdir()) == sorted([mine.path, foreign])
    assert reader.latest() is None
    mine.close()
