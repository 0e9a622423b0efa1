"""Synthetic records of layers, for tests of the report only: nothing in them was measured.

Every framework's time is ``overhead + slope * size`` in closed form, so that what a report must say is known.
"""

from __future__ import annotations

from typing import Any

from synthetic_records import make_record

from spikemark.measures.speed.points import TRACKS, Point
from spikemark.suites.records import Record

FRAMEWORKS = {"reference": 1.0, "norse": 2.0, "fused": 0.25}
COPY = 1e-10  # seconds per byte read or written


def seconds(framework: str, neuron: str, point: Point) -> float:
    """A power law of exponent 1 in T, B and N; stl costs a quarter more than lif."""
    return FRAMEWORKS[framework] * 1e-8 * point.size * (1.25 if neuron == "stl" else 1.0)


def layers_record(framework: str, neuron: str, axis: str, points: list[Point], **changes: Any) -> Record:
    """A cell of layers; "fused" knows no bfloat16."""
    rows: list[dict[str, Any]] = [{"metric": "threads", "value": 2.0, "unit": "threads"}]
    for point in points:
        place = {"point": point.to_dict()}
        if framework == "fused" and point.dtype == "bfloat16":
            for track in TRACKS:
                flag = {"metric": "unsupported", "value": 1.0, "unit": "1", "why": "float32 only"}
                rows.append(flag | place | {"track": track})
            continue
        for phase, passes in (("forward", 2), ("forward+backward", 6)):
            rows += [row | place | {"split": phase} for row in _phase(framework, neuron, point, passes)]
        for track, factor in (("matched", 8.0), ("native", 4.0)):
            own = place | {"track": track}
            rows.append({"metric": "peak_memory", "value": factor * point.size, "unit": "bytes"} | own)
            rows.append({"metric": "first_call", "value": 0.5, "unit": "s"} | own)
    cell = {"axis": axis, "settings": {"layers": {"axes": {axis: len(points)}}}}
    return make_record("layers", framework, neuron, 0, **({"measurements": rows, "cell": cell} | changes))


def _phase(framework: str, neuron: str, point: Point, passes: int) -> list[dict[str, Any]]:
    moved = passes * 4 * point.size
    rows = [
        {"metric": "bytes_moved", "value": float(moved), "unit": "bytes"},
        _row("copy_bandwidth", [1 / COPY] * 8),
        _row("reference_seconds", [seconds("reference", neuron, point)] * 8),
    ]
    for track, factor in (("matched", 1.0), ("native", 0.5)):
        own = factor * seconds(framework, neuron, point)
        timed = [
            _row("seconds", [own] * 8),
            _row("seconds_ratio", [own / seconds("reference", neuron, point)] * 8),
            _row("bandwidth_fraction", [moved * COPY / own] * 8),
        ]
        rows += [row | {"track": track} for row in timed]
    return rows


def _row(metric: str, values: list[float]) -> dict[str, Any]:
    ends = {"low": 0.9 * values[0], "high": 1.1 * values[0]}
    return {"metric": metric, "value": values[0], "unit": "s", "values": values} | ends


def layers_suite() -> list[Record]:
    """A base point in two types for lif and stl, and growth along all axes."""
    base, small = Point(16, 64, (1024,)), Point(16, 16, (256,))
    axes: dict[Any, list[Any]] = {"steps": [4, 16, 64], "batch": [1, 16, 64], "width": [256, 1024, 65536]}
    records = []
    for framework in FRAMEWORKS:
        for neuron in ("lif", "stl"):
            points = [base.at("dtype", dtype) for dtype in ("float32", "bfloat16")]
            records.append(layers_record(framework, neuron, "dtype", points))
            for axis, values in axes.items():
                records.append(layers_record(framework, neuron, axis, [small.at(axis, v) for v in values]))
    return records
