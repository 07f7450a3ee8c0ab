"""Estimates that agree with what is then built, and the commands that print them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.cli_gallery import app
from edge.errors import ConfigError
from edge.gallery import cache
from edge.gallery.index import EXACT_UP_TO
from edge.gallery.index_report import report_index
from edge.gallery.plan import Machine, calibrate, plan
from edge.gallery.scale import ON_DISK_FROM

MACHINE = Machine(node_us=100.0, query_us=50.0, exact_ns_a_number=0.1, cores=2)


@pytest.mark.parametrize(
    ("references", "form"),
    [
        (EXACT_UP_TO, "exact"),
        (EXACT_UP_TO + 1, "hnsw"),
        (ON_DISK_FROM, "hnsw"),
        (ON_DISK_FROM + 1, "hnsw on disk"),
    ],
)
def test_the_form_is_the_one_that_will_be_used(references: int, form: str) -> None:
    assert plan(references, 1, 512, machine=MACHINE).form == form


def test_more_of_anything_needs_no_less() -> None:
    sizes = [100, 8_000, 9_000, 100_000, 500_000, 1_000_000, 3_500_000]
    made = [plan(n, 1, 512, machine=MACHINE) for n in sizes]
    for name in ("gallery_mib", "build_s", "exact_query_ms"):
        values = [getattr(p, name) for p in made]
        assert values == sorted(values), name
    # vectors that go to the disk leave the memory
    for same in (made[:5], made[5:]):
        assert [p.device_gib for p in same] == sorted(p.device_gib for p in same)
    assert plan(10, 5, 64, machine=MACHINE).references == 50
    assert plan(1000, 300, 512, machine=MACHINE).memory_mib > made[3].memory_mib


@pytest.mark.parametrize(("skus", "views"), [(350_000, 10), (3_500_000, 1)])
def test_three_and_a_half_million_references_fit_eight_gib(skus: int, views: int) -> None:
    made = plan(skus, views, 512, machine=MACHINE)
    assert made.memory_mib <= 5 * 1024
    assert made.build_memory_mib <= 12 * 1024
    assert made.device_gib <= 8


@pytest.mark.parametrize(
    ("skus", "views", "dim"), [(0, 1, 512), (1, 0, 512), (1, float("nan"), 512), (1, 1, 1)]
)
def test_numbers_that_make_no_sense_are_refused(skus: int, views: float, dim: int) -> None:
    with pytest.raises(ConfigError, match="skus must be 1 to"):
        plan(skus, views, dim, machine=MACHINE)


def test_the_index_on_disk_is_as_large_as_planned(tmp_path: Path, unit) -> None:
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")
    from edge.gallery import stored
    from edge.gallery.hnsw import HnswIndex
    from edge.gallery.measured import Recall

    count, dim = 9_000, 72
    path = cache.graph_path(tmp_path / "gallery.db")
    made = HnswIndex.build(np.arange(count), unit(count, dim, 1))
    with cache.writing(path):
        stored.save(path, made, cache.Origin("g", "t", dim), 1, Recall(16, 1.0, 1.0, 1, 0.99))
    size = sum(int(str(f["bytes"])) for f in cache.read_header(path).files.values()) / 2**20
    planned = plan(100 * count, 1, dim, machine=MACHINE)
    with_vectors = size + count * 2 * dim / 2**20
    assert planned.index_mib == pytest.approx(100 * with_vectors, rel=0.1)


def test_this_machine_is_measured() -> None:
    machine = calibrate(64)
    assert 1 < machine.node_us < 100_000
    assert 1 < machine.query_us < 100_000
    assert 0 < machine.exact_ns_a_number < 1000


def test_the_command_prints_an_estimate() -> None:
    done = CliRunner().invoke(app, ["plan", "--skus", "9000", "--views", "2", "--dim", "32"])
    assert done.exit_code == 0, done.output
    assert "18000 references of 32 dimensions" in done.output
    assert "All figures are estimates" in done.output
    done = CliRunner().invoke(app, ["plan", "--skus", "5", "--views", "2", "--dim", "32", "--json"])
    found = json.loads(done.output)
    assert (found["references"], found["form"], found["estimate"]) == (10, "exact", True)


def test_verify_reports_the_measured_recall(small: Path) -> None:
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")
    from edge.gallery.gallery import Gallery

    assert report_index(small).kind == "exact"
    assert report_index(small, threshold=2).reason == "there is none yet"
    Gallery.open(small, threshold=2)
    report = report_index(small, threshold=2)
    assert (report.kind, report.references, report.ef, report.behind) == ("hnsw", 3, 512, 0)
    assert report.recall is not None
    assert report.recall["at_1"] == 1.0
    assert "ann_recall@1 1.0 (at least 1.0)" in report.to_text()
    index = cache.graph_path(small)
    header = cache.read_header(index)
    cache.file_of(index, header, "hnsw").write_bytes(b"x")
    assert "bytes, expected" in report_index(small, threshold=2).to_text()


def test_the_index_is_built_on_request(
    small: Path, unit, new_reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")
    from edge.gallery import index, index_report, opened

    monkeypatch.setattr(index, "EXACT_UP_TO", 2)
    monkeypatch.setattr(opened, "ON_DISK_FROM", 2)
    monkeypatch.setattr(index_report.report_index, "__kwdefaults__", {"threshold": 2})
    done = CliRunner().invoke(app, ["index", str(small), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["index"]
    assert (found["kind"], found["references"], found["behind"]) == ("hnsw", 3, 0)
    assert (
        "ann_recall@1 1.0 (at least 1.0)" in CliRunner().invoke(app, ["index", str(small)]).output
    )


def test_the_verify_command_speaks_of_the_index(small: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(small)])
    assert done.exit_code == 0, done.output
    assert "intact, 3 SKUs, 3 references" in done.output
    assert "index: exact search, no graph needed" in done.output
    found = json.loads(CliRunner().invoke(app, ["verify", str(small), "--json"]).output)
    assert found["ok"] is True
    assert found["index"]["kind"] == "exact"
    small.write_bytes(small.read_bytes()[:5000])
    done = CliRunner().invoke(app, ["verify", str(small), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.output)["index"]["kind"] == "none"
