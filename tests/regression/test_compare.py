"""Verdicts on records and pytest-benchmark files."""

import json
import math

import numpy as np
import pytest
from made_records import accuracy_record, counted, record, row

from spikemark.core.measurement import Metric
from spikemark.errors import InputError
from spikemark.measures.measure import MEASURES, Measure
from spikemark.regression.compare import compare
from spikemark.regression.floors import floors_path, measure_floors, read_floors, write_floors
from spikemark.regression.series import INSTRUCTIONS, TIME, Side
from spikemark.regression.sources import read_side, records_side
from spikemark.regression.verdicts import Floor, Limits
from spikemark.suites.packed import pack


def sides(base, head):
    return records_side("base", base), records_side("head", head)


def verdicts(comparison):
    return {(f.benchmark, f.label): f.verdict for f in comparison.findings}


def compare_steady(base, head):
    """With noise floors of a machine on which runs lie close together."""
    return compare(base, head, floors={(s.benchmark, s.label): Floor(1e-3, 20) for s in base.series.values()})


def test_equal_records_are_the_same():
    records = [
        counted(row("macs", 1000.0), row("acs", 7.0)),
        record(measurements=[row("accuracy", 0.9, split="test")]),
    ]
    comparison = compare(*sides(records, records))
    assert comparison.passed
    assert comparison.identical
    assert comparison.findings == []  # nothing is judged that nothing can say more about


def test_one_counted_operation_is_found():
    base = [counted(row("macs", 100_000.0), row("acs", 1.0))]
    head = [counted(row("macs", 100_001.0), row("acs", 1.0))]
    comparison = compare(*sides(base, head))
    assert [f.label for f in comparison.regressions] == ["macs"]
    assert comparison.regressions[0].change == pytest.approx(1e-5)
    assert compare(*sides(head, base)).findings[0].verdict == "better"


def test_one_spike_in_a_hundred_thousand_is_found():
    base, head = (
        [record(measure="conformance", measurements=[row("differing_spikes", n), row("compared_spikes", 1e5)])]
        for n in (0.0, 1.0)
    )
    found = compare(*sides(base, head)).regressions
    assert [f.label for f in found] == ["differing_spikes"]
    assert math.isinf(found[0].change)


@pytest.mark.parametrize(("count", "verdict"), [(1005.0, "same"), (1020.0, "slower"), (980.0, "faster")])
def test_instruction_counts_have_an_allowance(count, verdict):
    base, head = Side("base"), Side("head")
    for side, number in ((base, 1000.0), (head, count)):
        side.place("a layer", INSTRUCTIONS).exact[0, ""] = number
    finding = compare(base, head).findings[0]
    assert (finding.verdict, finding.regression) == (verdict, verdict == "slower")


def test_layers_that_trade_operations_are_a_finding():
    base = [counted(row("macs", 10.0), row("macs", 4.0, layer="a"), row("macs", 6.0, layer="b"))]
    head = [counted(row("macs", 10.0), row("macs", 5.0, layer="a"), row("macs", 5.0, layer="b"))]
    finding = compare(*sides(base, head)).findings[0]
    assert finding.verdict == "worse"
    assert finding.note == "differs in 2 of 3 places"


def _predictions(rng, seeds, samples, rate):
    return {seed: rng.random(samples) < rate for seed in range(seeds)}


def test_a_point_of_accuracy_over_five_seeds_is_found():
    rng = np.random.default_rng(0)
    before = _predictions(rng, 5, 1000, 0.95)
    after = {seed: correct.copy() for seed, correct in before.items()}
    for correct in after.values():
        right = np.flatnonzero(correct)
        correct[rng.choice(right, 10 + rng.integers(-2, 3), replace=False)] = False
    comparison = compare(*sides(*([accuracy_record(seed, c) for seed, c in side.items()] for side in (before, after))))
    assert [f.verdict for f in comparison.regressions] == ["worse"]
    assert comparison.regressions[0].change == pytest.approx(-0.01, abs=0.002)


def test_a_loss_within_the_margin_passes_and_noise_is_undecided():
    shifts = {"certain": [-0.002, -0.0021, -0.0019, -0.002, -0.002], "noisy": [-0.03, 0.03, -0.02, 0.025, -0.01]}
    for kind, verdict in (("certain", "same"), ("noisy", "undecided")):
        base, head = (
            [
                record(seed=s, measurements=[row("accuracy", 0.9 + on * shift, split="test")])
                for s, shift in enumerate(shifts[kind])
            ]
            for on in (0, 1)
        )
        finding = compare(*sides(base, head)).findings[0]
        assert (finding.verdict, finding.regression) == (verdict, False)
        assert (finding.detectable > 0.01) == (verdict == "undecided")


def test_robustness_is_judged_by_noise_over_severities():
    def run(drop):
        return [
            record(
                seed=s,
                measure="robustness",
                measurements=[
                    row("accuracy", 0.9 - 0.1 * k - drop * (noise == "blur"), split="test", noise=noise, severity=k)
                    for noise in ("blur", "gaussian")
                    for k in range(4)
                ],
            )
            for s in range(5)
        ]

    comparison = compare(*sides(run(0.0), run(0.05)))
    assert [f.label for f in comparison.regressions] == ["accuracy under blur"]


def test_missing_new_and_failed_are_listed():
    fine = counted(row("macs", 1.0))
    gone = counted(row("macs", 1.0), framework="norse")
    added = counted(row("macs", 1.0), framework="fused")
    broken = counted(seed=1, status="failed", error="ValueError: no\nTraceback")
    comparison = compare(*sides([fine, gone, counted(row("macs", 1.0), seed=1)], [fine, added, broken]))
    assert comparison.missing == ["norse mlp-lif digits (energy)"]
    assert comparison.new == ["fused mlp-lif digits (energy)"]
    assert comparison.newly_failed == {"snntorch mlp-lif digits (energy) seed 1": "failed: ValueError: no"}
    assert not comparison.passed


def test_what_failed_before_is_no_regression():
    broken = counted(seed=1, status="timeout", error="too slow")
    fine = counted(row("macs", 1.0))
    assert compare(*sides([fine, broken], [fine, broken])).passed


@pytest.mark.parametrize(
    ("slowdown", "verdict"), [(1.0, "same"), (1.2, "slower"), (0.8, "faster"), (1.05, "undecided")]
)
def test_pytest_benchmark_files(benchmark_json, slowdown, verdict):
    base = benchmark_json("base.json", {"test_a": 1e-3, "test_b": 2e-3})
    head = benchmark_json("head.json", {"test_a": 1e-3 * slowdown, "test_b": 2e-3}, seed=1)
    comparison = compare_steady(read_side(base), read_side(head))
    assert verdicts(comparison) == {("test_a", "time"): verdict, ("test_b", "time"): "same"}
    assert comparison.passed == (verdict != "slower")
    if verdict == "undecided":
        assert comparison.findings[0].detectable > 0.05


def test_more_is_better_for_rates():
    def run(rate):
        values = [rate * (1 + 0.001 * i) for i in range(20)]
        return [record(measure="throughput", measurements=[row("samples_per_second", rate, values=values)])]

    assert compare_steady(*sides(run(100.0), run(80.0))).findings[0].verdict == "slower"
    assert compare_steady(*sides(run(100.0), run(125.0))).findings[0].verdict == "faster"


def test_machines_are_not_mixed(benchmark_json):
    base = benchmark_json("base.json", {"test_a": 1e-3})
    head = benchmark_json("head.json", {"test_a": 2e-3}, cpu="another cpu")
    comparison = compare(read_side(base), read_side(head))
    assert comparison.findings[0].verdict == "undecided"
    assert "different machines" in comparison.warnings[0]


def test_false_alarms_are_shared_by_all_benchmarks():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(40):
        base, head = Side("base"), Side("head")
        for number in range(10):
            for side in (base, head):
                runs = [(value,) for value in np.exp(0.1 * rng.standard_normal(12))]
                side.place(f"benchmark {number}", TIME).runs.extend(runs)
        alarms += not compare(base, head, Limits(threshold=0.001)).passed
    assert alarms <= 4


def test_noise_floors_are_stored_and_widen_the_interval(benchmark_json, tmp_path):
    for run in range(5):
        benchmark_json(f"aa/{run}.json", {"test_a": 1e-3 * (1 + 0.1 * (run % 3))}, seed=run)
    base = benchmark_json("base.json", {"test_a": 1e-3})
    head = benchmark_json("head.json", {"test_a": 1.15e-3}, seed=9)
    before, after = read_side(base), read_side(head)
    assert not compare_steady(before, after).passed
    path = floors_path(base)
    write_floors(path, measure_floors([read_side(tmp_path / "aa")]), before.machine)
    floors = read_floors(path, before.machine)
    assert floors["test_a", "time"].runs == 5
    finding = compare(before, after, floors=floors).findings[0]
    assert finding.verdict == "undecided"
    assert finding.low < 0 < finding.high
    assert read_floors(path, "another machine") == {}
    path.write_text("{torn")
    with pytest.raises(InputError, match="line 1: not a noise floor"):
        read_floors(path, before.machine)


def test_three_runs_are_a_noise_floor_of_their_own():
    """Runs lie 5 % apart and their repeats 0.1 %: the repeats alone would call nearly every pair of sides different."""
    rng = np.random.default_rng(8)

    def called(slowdown, head_runs):
        base, head = Side("base"), Side("head")
        for side, count, scale in ((base, 3, 1.0), (head, head_runs, slowdown)):
            for _ in range(count):
                level = scale * math.exp(0.05 * rng.standard_normal())
                side.place("benchmark", TIME).runs.append(tuple(level * np.exp(0.001 * rng.standard_normal(20))))
        (finding,) = compare(base, head).findings
        return finding.verdict

    for head_runs in (1, 3):
        quiet = [called(1.0, head_runs) for _ in range(100)]
        assert quiet.count("slower") + quiet.count("faster") <= 6
        assert [called(3.0, head_runs) for _ in range(10)].count("slower") >= 8


def test_two_runs_are_no_noise_floor(benchmark_json):
    sides_ = [read_side(benchmark_json(f"{n}.json", {"test_a": 1e-3})) for n in range(2)]
    with pytest.raises(InputError, match="at least 3 runs"):
        measure_floors(sides_)


def test_different_suites_and_settings_are_refused():
    fine = [counted(row("macs", 1.0))]
    other = [counted(row("macs", 1.0), cell={"settings": {"training": {"epochs": 3}, "energy": {}}})]
    with pytest.raises(InputError, match=r"settings\.training\.epochs is 2 in BASE, 3 in HEAD"):
        compare(*sides(fine, other))
    with pytest.raises(InputError, match="suite 'smoke', head of 'quick'"):
        compare(*sides(fine, [counted(row("macs", 1.0), suite="quick")]))


def test_nothing_in_common_is_an_error():
    first, second = ([counted(row("macs", 1.0), framework=f)] for f in ("norse", "snntorch"))
    with pytest.raises(InputError, match="nothing was compared"):
        compare(*sides(first, second))
    with pytest.raises(InputError, match="with time; nothing was compared"):
        compare(*sides(first, first), metrics=["time"])
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        compare(*sides(first, first), metrics=["acuracy"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema": 1, "key"', "holds no records"),
        ("[]", "holds no records"),
        ("{}", "holds no records"),
        (json.dumps(record() | {"schema": 99}), "schema 99; this version reads"),
        (json.dumps(record() | {"seconds": "long"}), "seconds: Input should be a valid number"),
        (
            json.dumps({"benchmarks": [{"fullname": "test_a", "stats": {"mean": 1.0}}]}),
            r"benchmarks.0.stats.data: is missing; save raw data with",
        ),
    ],
)
def test_files_of_another_form_are_refused_and_left_alone(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_side(tmp_path)
    assert path.read_text() == content


def test_empty_and_mixed_folders_are_refused(tmp_path, folder, benchmark_json):
    with pytest.raises(InputError, match="holds no records"):
        read_side(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_side(tmp_path / "nowhere")
    path = folder("mixed", counted(row("macs", 1.0)))
    benchmark_json("mixed/b.json", {"test_a": 1.0})
    with pytest.raises(InputError, match="mixes"):
        read_side(path)


def test_files_of_another_form_are_left_out_with_a_warning(folder, caplog):
    path = folder("mixed", counted(row("macs", 1.0)))
    (path / "settings.json").write_text("{}")
    (path / "torn.json").write_text('{"schema"')
    assert list(read_side(path).series) == [("snntorch mlp-lif digits (energy)", "macs")]
    assert f"no records of spikemark: {path / 'settings.json'}" in caplog.text
    assert f"torn or no JSON: {path / 'torn.json'}" in caplog.text


def test_packed_results_are_read_like_their_folder(folder):
    path = folder("plain", counted(row("macs", 1.0)), record(measurements=[row("parameters", 5.0)]))
    assert read_side(pack(path)).series.keys() == read_side(path).series.keys()


def test_a_folder_that_was_used_again_counts_its_last_records_only():
    def run(level, **changes):
        rows = [row("accuracy", level, split="test")]
        return [record(seed=seed, measurements=rows, **changes) for seed in range(3)]

    old = run(0.97)
    for version in (f"{major}.{minor}" for major in (1, 2, 3) for minor in range(1, 15)):
        new = run(0.5, cell={"framework_version": version}, started="2026-02-01T00:00:00+00:00")
        for head in ([*old, *new], [*new, *old]):
            comparison = compare(*sides(old, head))
            assert not comparison.passed
            (finding,) = comparison.findings
            assert (finding.verdict, finding.base, finding.head) == ("worse", pytest.approx(0.97), 0.5)
            words = f"framework_version is None in earlier ones, '{version}' in the last ones"
            told = f"head: snntorch mlp-lif digits: 3 older records are left out, since {words}"
            assert told in comparison.warnings


def test_two_settings_of_one_cell_are_refused():
    longer = {"settings": {"training": {"epochs": 3}, "accuracy": {}}}
    some = [record(seed=seed, measurements=[row("accuracy", 0.9, split="test")]) for seed in range(3)]
    other = [record(seed=seed, measurements=[row("accuracy", 0.5, split="test")], cell=longer) for seed in range(3)]
    with pytest.raises(
        InputError, match=r"digits with two settings: settings\.training\.epochs is (2 in .* 3|3 in .* 2) in"
    ):
        records_side("head", [*some, *other])


@pytest.mark.parametrize(
    ("lost", "gained", "verdict"),
    [
        (0, 0, "same"),
        (1, 0, "undecided"),
        (40, 0, "undecided"),
        (160, 0, "worse"),
        (0, 160, "better"),
        (87, 87, "undecided"),
    ],
)
def test_one_seed_is_judged_by_its_samples_against_the_margin(lost, gained, verdict):
    """10,000 samples, margin 50 of them: a loss of 40 passes the margin's test, one of 160 does not."""
    before = np.arange(10_000) < 9_700
    after = before.copy()
    after[:lost] = False
    after[9_700 : 9_700 + gained] = True
    comparison = compare(*sides([accuracy_record(0, before)], [accuracy_record(0, after)]))
    assert comparison.identical is (verdict == "same")
    if not comparison.identical:
        (finding,) = comparison.findings
        assert (finding.verdict, comparison.passed) == (verdict, verdict != "worse")
        assert finding.note == (
            f"{lost + gained} predictions changed ({lost} lost, {gained} won); one seed: it tells of this network alone"
        )


def test_a_network_that_broke_down_fails_the_gate_with_one_seed():
    before, after = np.arange(10_000) < 9_700, np.arange(10_000) < 1_000
    assert not compare(*sides([accuracy_record(0, before)], [accuracy_record(0, after)])).passed
    few = np.arange(20) < 19
    small = compare(*sides([accuracy_record(0, few)], [accuracy_record(0, np.arange(20) < 18)]))
    assert small.findings[0].verdict == "undecided", "one of twenty samples is no evidence"


def test_one_seed_raises_no_false_alarm_where_the_loss_is_within_the_margin():
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        before = rng.random(2_000) < 0.9
        change = rng.random(2_000)  # loses 0.9 x 0.02 and wins 0.1 x 0.13: together the margin of half a point
        after = np.where(before, change >= 0.02, change < 0.13)
        alarms += not compare(*sides([accuracy_record(0, before)], [accuracy_record(0, after)])).passed
    assert alarms <= 300 * 0.04


def test_variants_are_benchmarks_of_their_own():
    rows = [row("accuracy", 0.9, split="test")]
    side = records_side("side", [record(measurements=rows), record(measurements=rows, cell={"variant": "t8"})])
    assert {name for name, _ in side.series} == {"snntorch mlp-lif digits", "snntorch mlp-lif digits t8"}


def test_labels_tell_numbers_of_one_metric_apart():
    point = {"steps": 16, "batch": 64, "shape": [1024], "dtype": "float32", "mode": "eager"}
    layers = [row("seconds", 1.0, split="forward", track=track, point=point) for track in ("matched", "native")]
    oracle = [row("gradient_error", 0.0, split="currents", dtype=dtype) for dtype in ("float32", "float64")]
    priced = [row("energy", 1.0, unit="pJ/sample", profile=name) for name in ("a", "b")]
    side = records_side(
        "side",
        [
            record(measure="layers", measurements=layers, cell={"axis": "width"}),
            record(measure="conformance", measurements=oracle),
            counted(*priced),
        ],
    )
    assert {key: series.watched for key, series in side.series.items()} == {
        ("snntorch lif width (layers)", "seconds forward at T=16 B=64 N=1024"): True,
        ("snntorch lif width (layers)", "seconds forward native at T=16 B=64 N=1024"): False,
        ("snntorch lif (conformance)", "gradient_error currents [float32]"): True,
        ("snntorch lif (conformance)", "gradient_error currents [float64]"): True,
        ("snntorch mlp-lif digits (energy)", "energy [a]"): True,
        ("snntorch mlp-lif digits (energy)", "energy [b]"): True,
    }


def test_a_training_that_fails_is_told_once():
    names = ("accuracy", "robustness", "energy")
    failed = [record(measure=name, status="diverged", error="loss is NaN") for name in names]
    assert records_side("side", failed).broken == {"snntorch mlp-lif digits seed 0": "diverged: loss is NaN"}


def test_a_benchmark_that_works_in_base_alone_is_a_regression():
    fine = record(measurements=[row("accuracy", 0.9, split="test")])
    broken = record(status="failed", error="boom")
    comparison = compare(*sides([fine], [broken]))
    assert not comparison.passed
    assert comparison.newly_failed == {"snntorch mlp-lif digits seed 0": "failed: boom"}


@pytest.mark.parametrize("measurement", [row("macs", 1.0), row("firing_rate", 1.0)])
def test_sides_without_a_seed_in_common_are_refused(measurement):
    base, head = [counted(measurement)], [counted(measurement, seed=1)]
    with pytest.raises(InputError, match="no seed in common; nothing was compared"):
        compare(*sides(base, head), metrics=[measurement["metric"]])


def test_numbers_without_a_seed_in_common_are_said_beside_others():
    scored = record(measurements=[row("accuracy", 0.9, split="test")])
    comparison = compare(*sides([scored, counted(row("macs", 1.0))], [scored, counted(row("macs", 1.0), seed=1)]))
    assert [finding.label for finding in comparison.findings] == ["accuracy"]
    assert "macs has no seed in common" in comparison.warnings[0]


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_missing_may_fail(fails):
    fine, gone = counted(row("macs", 1.0)), counted(row("macs", 1.0), framework="norse")
    comparison = compare(*sides([fine, gone], [fine]), fail_on=["missing"] * fails)
    assert comparison.missing == ["norse mlp-lif digits (energy)"]
    assert comparison.passed is not fails
    fewer = [counted(row("macs", 1.0), row("acs", 1.0))]
    assert compare(*sides(fewer, [fine]), fail_on=["missing"] * fails).passed is not fails
    assert compare(*sides([fine], [fine, gone]), fail_on=["missing"] * fails).passed


def test_memory_too_little_to_be_seen_has_no_ratio():
    def run(memory):
        return [record(measure="throughput", measurements=[row("peak_memory", memory, unit="bytes")])]

    assert compare(*sides(run(0.0), run(0.0))).identical
    finding = compare(*sides(run(0.0), run(1e6))).findings[0]
    assert (finding.verdict, finding.note) == ("undecided", "a value of 0 or less has no ratio to others")


def test_metrics_of_a_registered_measure_are_judged_as_it_says(monkeypatch):
    class Latency(Measure):
        name = "latency-of-mine"
        metrics = (Metric("answer_time", "ms", "cost", timed=True), Metric("rank", "1", "score", more=True))

        def run(self, subject):
            raise NotImplementedError

    monkeypatch.setattr(MEASURES, "_entries", dict(MEASURES._entries))
    MEASURES.add("latency-of-mine", Latency)

    def run(seconds):
        values = [seconds * (1 + 0.001 * i) for i in range(20)]
        rows = [row("answer_time", seconds, values=values), row("rank", 0.5)]
        return [record(measure="latency-of-mine", measurements=rows)]

    found = verdicts(compare_steady(*sides(run(1.0), run(1.3))))
    assert found == {
        ("snntorch mlp-lif digits (latency-of-mine)", "answer_time"): "slower",
        ("snntorch mlp-lif digits (latency-of-mine)", "rank"): "same",
    }


def many_cells(lost, cells=128, noisy=False, samples=500):
    """Accuracies of three seeds in many cells; in the first, the same predictions are lost in every seed."""
    rng = np.random.default_rng(7)
    base, head = [], []
    for cell in range(cells):
        for seed in range(3):
            before = rng.random(samples) < 0.95
            before[:lost] = True
            after = before.copy()
            for right in (True, False) if noisy else ():  # as many are lost as are won, on average
                flips = rng.choice(np.flatnonzero(before == right), rng.integers(2, 7), replace=False)
                after[flips] = not right
            if cell == 0:
                after[:lost] = False
            for side, correct in ((base, before), (head, after)):
                side.append(accuracy_record(seed, correct, cell={"variant": f"v{cell}"}))
    return sides(base, head)


def test_a_small_loss_in_every_seed_of_one_cell_is_found_among_many():
    comparison = compare(*many_cells(8))
    (found,) = comparison.regressions
    assert (found.benchmark, found.verdict) == ("snntorch mlp-lif digits v0", "worse")
    assert found.change == pytest.approx(-0.016)
    assert found.note == "24 predictions changed (24 lost, 0 won)"


def test_a_small_loss_in_every_seed_of_one_cell_is_found_where_all_cells_move():
    (found,) = compare(*many_cells(8, noisy=True)).regressions
    assert (found.benchmark, found.verdict) == ("snntorch mlp-lif digits v0", "worse")
    assert found.note.endswith("shown by the seeds of all 128 series that moved")


def test_a_few_predictions_are_said_and_fail_when_asked_to():
    comparison = compare(*many_cells(2, cells=4), fail_on=["changed"])
    assert comparison.regressions == []
    assert comparison.also_failing == ["changed: snntorch mlp-lif digits v0: accuracy"]
    assert not comparison.passed


def test_predictions_that_change_at_random_raise_no_alarm_among_many():
    assert not compare(*many_cells(0, noisy=True)).regressions


def told(base, head):
    return " / ".join(compare(*sides(base, head)).warnings)


def test_versions_systems_and_machines_that_changed_are_said():
    def run(macs=1.0, rate=0.1, **environment):
        cell = {"system_definition": {"rule": {"learning_rate": rate}}}
        return [counted(row("macs", macs), environment=environment, cell=cell)]

    packages = {"packages": {"torch": "2.13", "numpy": "2"}}
    newer = {"packages": {"torch": "2.99", "numpy": "2"}}
    assert told(run(**packages), run(2.0, **newer)) == "torch is 2.13 in BASE, 2.99 in HEAD"
    assert "system_definition.rule.learning_rate is 0.1 in BASE, 0.2 in HEAD" in told(run(), run(2.0, rate=0.2))
    mixed = [*run(**packages), counted(row("macs", 1.0), framework="norse", environment=newer)]
    assert "BASE mixes torch 2.13 and 2.99" in told(mixed, run(2.0, **packages))


def test_times_of_two_machines_in_one_folder_are_not_judged():
    def run(rate, **environment):
        values = [rate * (1 + 0.001 * i) for i in range(20)]
        rows = [row("samples_per_second", rate, values=values)]
        return [
            record(framework=name, measure="throughput", measurements=rows, environment=where)
            for name, where in (("norse", {}), ("snntorch", environment))
        ]

    comparison = compare_steady(*sides(run(100.0), run(80.0, processor="another")))
    assert {f.benchmark.split()[0]: f.verdict for f in comparison.findings} == {
        "norse": "slower",
        "snntorch": "undecided",
    }
    assert "no verdict on time or memory of snntorch mlp-lif digits" in " ".join(comparison.warnings)


def test_costs_of_no_use_take_no_share_of_the_false_alarms():
    """A hundred times without a floor, and one with: as if it stood alone."""

    def run(slow):
        return [
            record(
                measure="throughput",
                cell={"variant": f"v{n}"},
                measurements=[
                    row("samples_per_second", 100.0, values=[100.0 + 0.1 * i for i in range(20)] if n else slow)
                ],
            )
            for n in range(100)
        ]

    base, head = sides(run([100.0 + 0.1 * i for i in range(20)]), run([80.0 + 0.1 * i for i in range(20)]))
    only = {key: Floor(0.02, 20) for key in base.series if key[0].endswith("v0 (throughput)")}
    assert [f.verdict for f in compare(base, head, floors=only).regressions] == ["slower"]
