"""Everything that the command line can do, as functions that take and return data; and the decorators that register."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spikemark
from spikemark.errors import InputError, needs
from spikemark.registry import register as register_entry
from spikemark.registry import registering

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

    from spikemark.measures.energy_table import EnergyTable
    from spikemark.measures.semantics.comparison import ConformanceRow
    from spikemark.noise.case import Levels, Threat
    from spikemark.regression.compare import Comparison
    from spikemark.suites.jobs import Job, Point
    from spikemark.suites.records import Record
    from spikemark.suites.runner import Summary

__all__ = [
    "Results", "claim", "compare", "conformance", "energy_table", "evaluate", "load_results", "measure", "network",
    "plan", "register", "report", "robustness", "rule", "run",
]  # fmt: skip

log = logging.getLogger(__name__)
network = registering("network")
"""``@network(name, source="")``: ``make(input_shape, classes, neurons, norm, **options) -> nn.Module``."""
measure = registering("measure")
"""``@measure(name, source="")``: a subclass of `spikemark.measures.measure.Measure`."""
rule = registering("rule")
"""``@rule(name, source="")``: a subclass of `spikemark.training.rule.Rule`."""
claim = registering("claim")
"""``@claim(name, source="")``: a `spikemark.core.claims.Claim`, or a function without arguments that gives one."""
_DECORATORS = ("neuron", "dataset", "encoder", "noise", "model")
"""The public decorators that do more than register what they are given."""


def register(kind: str, name: str, value: Any, *, source: str = "", **options: Any) -> None:
    """Add an entry to a registry, as the decorator of its kind does.

    Args:
        kind: "neuron", "network", "system" and so on, see `spikemark.registry.KINDS`.
        name: as users write it.
        value: the entry, or what the decorator of its kind takes.
        source: the publication, or whose it is.
        options: further arguments of the decorator.

    Raises:
        UnknownNameError: there is no such kind.
        InputError: the decorator lacks an argument, or has no such one.
        spikemark.registry.PluginError: the name is taken; the message names both origins.
    """
    if kind in _DECORATORS and callable(value):
        try:
            keep = getattr(spikemark, kind)(name, source=source, **options)
        except TypeError as error:
            raise InputError(f"register {kind} {name!r}: {error}") from None
        keep(value)
    elif options:
        raise InputError(f"register {kind} {name!r}: it takes no {', '.join(sorted(options))}")
    else:
        register_entry(kind, name, value, source=source)


@dataclass(frozen=True)
class Results:
    """Records, as data.

    Attributes:
        records: one per job.
        summary: how the run ended that made them; None for records that were read.
        folder: where the records are.
        left_out: of an evaluation, noises and parts of measures that do not apply to the model, and why.
    """

    records: list[Record] = field(repr=False)
    summary: Summary | None = None
    folder: Path | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per measurement; see `spikemark.suites.records.load_results` for the columns."""
        from spikemark.suites.records import to_frame

        return to_frame(self.records)

    @property
    def overview(self) -> pd.DataFrame:
        """One row per framework and system: means over seeds, and over noises and their severities.

        Columns ``accuracy low high`` (low and high of the interval, where records hold one), ``under_noise macs acs
        neuron_updates firing_rate samples_per_second training_samples_per_second latency peak_memory``, one per
        energy profile (pJ per sample), and "joules, SOURCE" (J per sample); those that were not measured are left out.
        """
        import pandas as pd

        table = self.table
        whole = table[table["layer"].isna() & table["split"].isin(["test", None])]
        clean, noisy = whole["noise"].isna(), whole["severity"] > 0
        of_speed = ("samples_per_second", "training_samples_per_second", "latency", "peak_memory")
        of_whole = ("macs", "acs", "neuron_updates", "firing_rate", *of_speed)
        parts = {
            "accuracy": whole[clean & (whole["metric"] == "accuracy")],
            "under_noise": whole[noisy & (whole["metric"] == "accuracy")],
            **{metric: whole[clean & (whole["metric"] == metric)] for metric in of_whole},
            **_by_profile(whole, "energy", "{}"),
            **_by_profile(whole, "joules", "joules, {}"),
        }
        axes = ["dataset", "framework", "system"]
        columns = {name: part.groupby(axes, sort=False)["value"].mean() for name, part in parts.items()}
        for bound in ("low", "high"):
            columns[bound] = parts["accuracy"].groupby(axes, sort=False)[bound].mean()
        order = ["accuracy", "low", "high", *(name for name in parts if name != "accuracy")]
        return pd.DataFrame(columns)[order].dropna(axis="columns", how="all")

    def save(self, folder: str | Path) -> Path:
        """Write the records as files, one per job."""
        from spikemark.suites.records import write_record

        for record in self.records:
            write_record(Path(folder), record)
        return Path(folder)

    def energy_table(self) -> pd.DataFrame:
        """Operations per sample and energy under every profile (nJ), the mean over seeds: one row per contender.

        Beside each is that of a dense network of the same layers in one pass, where the records know it. ``order flips
        with`` names the contenders of the same data that cost less under one profile and more under
        another, in every seed that both have. Joules that were measured have columns of their own. Layers, and the
        comparison with a dense network, are in `spikemark.energy_table`, which counts anew.

        Raises:
            InputError: no record has counted operations.
        """
        from spikemark.measures.joules import HEADING

        frame = self.table
        named = frame["metric"].isin(["macs", "acs", "dense", "neuron_updates", "firing_rate", *_PRICED])
        rows = frame[(frame["measure"] == "energy") & named & frame["layer"].isna()] if "layer" in frame else frame[:0]
        if rows.empty:
            raise InputError("no record has counted operations; measure energy")
        priced = rows["metric"].isin([*_PRICED])
        ending = rows["metric"].map(_PRICED).fillna("")
        rows = rows.assign(
            column=rows["metric"].where(~priced, rows["profile"].astype(str) + ending + " (nJ)"),
            value=rows["value"].where(~priced, rows["value"] / 1_000),
        )
        axes = ["dataset", "framework", "system"]
        table = rows.pivot_table(index=axes, columns="column", values="value", aggfunc="mean", sort=False)
        for heading, measured in _by_profile(frame, "joules", f"{HEADING} ({{}})").items():
            table[heading] = measured.groupby(axes, sort=False)["value"].mean()
        return table.assign(**{"order flips with": _flipping(rows[rows["metric"] == "energy"], list(table.index))})

    def report(self, folder: str | Path) -> list[Path]:
        """Render the records as Markdown, CSV, figures and one HTML page per suite; the files written."""
        return report(self, folder)

    def compare(self, other: Results, **options: Any) -> Comparison:
        """Judge `other` against these; see `compare`."""
        return compare(self, other, **options)

    def _repr_html_(self) -> str:
        text: str = self.table.to_html(max_rows=40)
        return text


def plan(
    suite: str | Path | Mapping[str, Any], *, plugins: Sequence[str] = (), only: Iterable[str] = ()
) -> list[Point]:
    """The points of a suite that `only` leaves; nothing is imported but what the suite names.

    Args:
        suite: registered name, path of a suite file, or its keys as a mapping.
        plugins: files and modules to load first.
        only: ``KEY=VALUE[,VALUE...]`` terms that points must match.

    Raises:
        InputError: the suite or a term is wrong.
    """
    from spikemark.suites.jobs import select
    from spikemark.suites.suite import load_suite

    return select(load_suite(suite, tuple(plugins)).points(), only)


def run(
    suite: str | Path | Mapping[str, Any],
    *,
    out: str | Path,
    only: Iterable[str] = (),
    plugins: Sequence[str] = (),
    workers: int | None = 0,
    scheduler: str | None = None,
    tls: tuple[Path, Path, Path] | None = None,
    patience: float = 600.0,
    device: str = "cpu",
    data_dir: str | Path | None = None,
    keep_weights: bool = True,
    fail_fast: bool = False,
    on_start: Callable[[list[Job], int], Any] = lambda jobs, done: None,
    on_job: Callable[[str], None] = lambda name: None,
    on_epoch: Callable[[dict[str, Any]], None] = lambda event: None,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Results:
    """Run a suite; jobs that have a record in `out` already are skipped.

    One run at a time writes into a folder; a second one waits for the first.

    Args:
        suite: registered name, path of a suite file, or its keys as a mapping.
        out: folder of the records; also of trained weights, below ``weights``.
        only: ``KEY=VALUE[,VALUE...]``: run matching jobs only.
        plugins: files and modules to load first.
        workers: processes; 0 runs in this one, None takes all cores.
        scheduler: address of a dask scheduler to run on instead, with the workers that have the same software and data.
        tls: for `scheduler`: files of the authority's certificate, the client's certificate, and its key.
        patience: for `scheduler`: seconds to wait for a worker, and for a scheduler that was lost.
        device: "cpu" or "cuda".
        data_dir: folder of the data sets; None for ``SPIKEMARK_DATA`` or the download cache.
        keep_weights: whether trained weights are kept, so that further measures train nothing again.
        fail_fast: start no job after the first failure.
        on_start: told of the jobs that will run, and how many are done already.
        on_job: told of every job that starts.
        on_epoch: told of every epoch.
        on_record: told of every record once it is on disk.

    Returns:
        The records of the jobs that `only` leaves, those that were there too.

    Raises:
        InputError: the request is wrong, or a framework or data set is missing.
    """
    from spikemark.core.files import locked, sweep
    from spikemark.data.files import data_folder
    from spikemark.suites import runner
    from spikemark.suites.jobs import resolve
    from spikemark.suites.place import Place, needs_of
    from spikemark.suites.workers import Address, make_pool

    def listen(event: dict[str, Any]) -> None:
        on_epoch(event) if "epoch" in event else on_job(event["job"])

    jobs = resolve(plan(suite, plugins=plugins, only=only))
    folder, data = Path(out), Path(data_dir) if data_dir is not None else None
    weights = (folder / "weights").resolve() if keep_weights else None
    if scheduler is None:
        data_folder(data)
    runner.check_writable(folder)
    with locked(folder, lambda: log.warning("another run writes into %s; this one goes on when it has ended", folder)):
        for written in (folder, *([weights] if weights is not None else [])):
            sweep(written, older_than=0)
        todo, done = runner.plan(jobs, folder)
        on_start(todo, done)
        summary = runner.Summary(skipped=done)
        if todo:
            cluster = Address(scheduler, tls, patience) if scheduler is not None else None
            pool = make_pool(workers, cluster, Place(device, data, weights), listen)
            try:
                pool.check(needs_of(todo))
                summary = runner.run(jobs, folder, pool, device, fail_fast=fail_fast, on_record=on_record)
            finally:
                pool.close()
    return Results(list(runner.own_records(jobs, folder).values()), summary, folder)


def evaluate(
    model: Any,
    data: Any,
    *,
    steps: int | None = None,
    layout: str = "TB",
    encoder: str = "direct",
    output: Any = "auto",
    reset: Callable[[Any], object] | None = None,
    neurons: Any = (),
    measures: Sequence[str] = ("accuracy", "robustness", "energy", "throughput"),
    noises: Sequence[str] | None = None,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    samples: int | None = None,
    batch_size: int = 256,
    weights: str | Path | Sequence[str | Path] | None = None,
    device: str = "cpu",
    name: str | None = None,
    framework: str | None = None,
    baselines: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    dt: float | None = None,
    data_dir: str | Path | None = None,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Results:
    """Measure a model that was trained elsewhere; it is afterwards as it was before.

    Its states are reset before every batch, as far as they are those of snnTorch, SpikingJelly or Norse.

    Args:
        model: a module; a function of the inputs; ``"FILE.py:build"`` or ``"package.module:build"`` with
            ``build(input_shape, classes, steps) -> nn.Module``; ``"FILE.nir"``; or a list of these, each one training
            seed of the same contender.
        data: name of a data set; ``(inputs, labels)``; a torch `Dataset` or `DataLoader` of ``(x, y)``. Samples of
            one's own are floats in 0..1 or bytes, all of them to test on.
        steps: T of the encoder; what samples have where they have a time axis.
        layout: of the model's input: "TB" ``[T, B, ...]``, "BT" ``[B, T, ...]``, "B" ``[B, ...]`` for a model that
            keeps its own loop over time, or "step" ``[B, ...]`` for one that is called once per step.
        encoder: a registered name; "frames" for samples of one's own with a time axis, ``[N, steps, ...]``.
        output: "auto" for scores ``[B, K]``, ``[T, B, K]`` or ``[B, T, K]`` (mean over T), or a tuple that begins with
            them; or a function of what the model gives to scores ``[B, K]``.
        reset: a function of the model that forgets earlier calls, called before every batch.
        neurons: classes of spiking neurons that are not known, or numbers of state variables by class.
        measures: registered names.
        noises: registered names; when None every one that applies, of attacks FGSM and PGD.
        severities: among 1 to 5.
        samples: the first so many of the test split; all when None.
        batch_size: samples at a time; it changes nothing but speed and memory.
        weights: a ``.safetensors`` file, or one of a state dict that `torch.save` wrote; a list for several models, or
            for several trainings of one.
        device: where the model is, "cpu" or "cuda".
        name: of the model in tables; its class when None.
        framework: in tables; that of its neurons when None. Of a ``.nir`` file, who computes it.
        baselines: systems whose committed records stand beside, where data set, encoding and test split agree.
        settings: further settings of measures, by name, as in a suite file.
        dt: of a ``.nir`` file, seconds per step, which the file does not say; 1e-4 when None.
        data_dir: folder of the data sets.
        on_record: told of every record.

    Raises:
        InputError: the request is wrong, or the model or the data are not what they may be.
    """
    from spikemark.suites.evaluation import Request, committed_baselines, evaluate_models

    request = Request(
        steps, layout, encoder, output, reset, neurons, measures, noises, severities, samples, batch_size, device, name,  # type: ignore[arg-type]
        framework, settings or {}, dt,
    )  # fmt: skip
    models = list(model) if isinstance(model, list | tuple) else [model]
    files = [] if weights is None else [weights] if isinstance(weights, str | Path) else list(weights)
    folder = Path(data_dir) if data_dir is not None else None
    found = evaluate_models(models, data, request, weights=files, data_dir=folder, on_record=on_record)
    beside = committed_baselines(baselines, _committed(), found.records) if baselines else []
    return Results([*found.records, *beside], left_out=found.left_out)


def energy_table(
    model: Any,
    data: Any,
    *,
    steps: int | None = None,
    layout: str = "TB",
    encoder: str = "direct",
    reset: Callable[[Any], object] | None = None,
    neurons: Any = (),
    samples: int | None = None,
    profiles: Sequence[str] | Mapping[str, Any] = (),
    weights: str | Path | None = None,
    name: str | None = None,
    framework: str | None = None,
    dt: float | None = None,
    data_dir: str | Path | None = None,
) -> EnergyTable:
    """Exact operations of a trained model by layer, their energy under every registered profile, and a dense network's.

    Args:
        model: see `evaluate`, as are the others.
        data: of the samples.
        steps: T of the encoder.
        layout: of the model's input.
        encoder: a registered name.
        reset: a function of the model that forgets earlier calls.
        neurons: classes of spiking neurons that are not known.
        samples: the first so many of the test split; 128 when None.
        profiles: registered names and TOML files, or profiles by name (`EnergyProfile`, or its fields); all registered
            ones when empty.
        weights: a file of trained weights.
        name: of the model; its class when None.
        framework: of a ``.nir`` file, who computes it.
        dt: of a ``.nir`` file, see `evaluate`.
        data_dir: folder of the data sets.

    Raises:
        InputError: the request is wrong, the model or the data are not what they may be, or a layer cannot be counted.
    """
    from spikemark.suites.evaluation import Request, counted_model

    request = Request(
        steps=steps, layout=layout, encoder=encoder, reset=reset, neurons=neurons, samples=samples, name=name,  # type: ignore[arg-type]
        framework=framework, dt=dt,
    )  # fmt: skip
    folder = Path(data_dir) if data_dir is not None else None
    return counted_model(model, data, request, profiles=profiles, weights=weights, data_dir=folder)


_PRICED = {"energy": "", "energy_dense": ", dense"}
"""Metrics of energy in the table of results, and what their columns are called beside the profile."""


def _by_profile(rows: pd.DataFrame, metric: str, heading: str) -> dict[str, pd.DataFrame]:
    """The rows of a metric, by a heading for each profile (or, of joules, source) that it has."""
    own = rows[rows["metric"] == metric]
    return {heading.format(profile): part for profile, part in own.groupby("profile", sort=False)}


def _flipping(rows: pd.DataFrame, contenders: list[tuple[str, str, str]]) -> list[str]:
    """For every contender (data set, framework, system) the systems whose order with it depends on the profile."""
    from spikemark.measures.energy import flips

    runs: dict[str, list[dict[int, float]]] = {}
    for profile in rows["profile"].unique():
        own = rows[rows["profile"] == profile].set_index(["dataset", "framework", "system"])
        runs[str(profile)] = [
            {int(seed): float(value) for seed, value in own.loc[[place], ["seed", "value"]].itertuples(index=False)}
            if place in own.index
            else {}
            for place in contenders
        ]
    others: list[list[str]] = [[] for _ in contenders]
    for i, j in flips(runs):
        if contenders[i][0] == contenders[j][0]:
            others[i].append(contenders[j][2])
            others[j].append(contenders[i][2])
    return [", ".join(dict.fromkeys(names)) for names in others]


def _committed() -> list[Record]:
    """The records that are committed beside the sources.

    Raises:
        InputError: there are none, since only the package is installed.
    """
    from spikemark.suites.records import load_records

    folder = Path(spikemark.__file__).parents[2] / "results"
    if not folder.is_dir():
        raise InputError(f"baselines: there are no committed records in {folder}; they come with a checkout")
    return load_records(folder)


def report(results: str | Path | Results, out: str | Path) -> list[Path]:
    """Render records as Markdown, CSV, figures and one HTML page per suite.

    Args:
        results: a results folder or packed file, or records at hand.
        out: folder of the files.

    Returns:
        The files written, sorted.

    Raises:
        InputError: there are no records, or one cannot be used.
    """
    from spikemark.suites.runner import check_writable

    with needs("report", "rendering a report"):
        from spikemark.report import write_report
    check_writable(Path(out))
    return write_report(results.records if isinstance(results, Results) else Path(results), Path(out))


def compare(
    base: str | Path | Results,
    head: str | Path | Results,
    *,
    threshold: float = 0.05,
    margin: float = 0.005,
    instructions: float = 0.01,
    metrics: Sequence[str] = (),
    fail_on: Sequence[str] = ("degenerate",),
) -> Comparison:
    """Judge HEAD against BASE: is it slower, or worse?

    Args:
        base: results, or the path of some or of a pytest-benchmark file with raw data.
        head: the same, of the change.
        threshold: largest growth of time or memory that passes, as a fraction.
        margin: largest loss of accuracy that passes, as a fraction.
        instructions: largest growth of instruction counts that passes, as a fraction.
        metrics: to look at; the usual ones when empty.
        fail_on: what makes the comparison fail beside regressions: "missing" numbers, "undecided" verdicts,
            "degenerate" networks, "changed" predictions.

    Raises:
        InputError: the sides have nothing in common, or were measured with different settings.
    """
    from spikemark.regression.compare import compare as judge
    from spikemark.regression.sources import read_side, records_side
    from spikemark.regression.verdicts import Limits

    sides = [
        records_side(name, side.records) if isinstance(side, Results) else read_side(Path(side))
        for name, side in (("BASE", base), ("HEAD", head))
    ]
    limits = Limits(threshold, margin, instructions)
    return judge(sides[0], sides[1], limits, metrics=metrics, fail_on=fail_on)


def conformance(
    framework: str, *, progress: Callable[[int, int], None] | None = None, seed: int = 0, device: str = "cpu"
) -> list[ConformanceRow]:
    """Compare a framework's layers with the float64 oracle, spike by spike, over the catalogue and a grid of specs.

    Args:
        framework: an adapter, or ``NAME@VERSION``; it runs here or in its environment.
        progress: called with the number of specs done and of all.
        seed: of all inputs.
        device: "cpu" or "cuda": where its layers run.

    Raises:
        InputError: there is no GPU.
        UnknownNameError: no such framework.
        MissingFramework, MissingEnvironment: it is not installed; the message holds the command that mends it.
    """
    from spikemark.core.frameworks import environment_of
    from spikemark.core.remote import call
    from spikemark.measures.semantics.comparison import conformance_table
    from spikemark.suites.place import require_device

    require_device(device)
    own = environment_of(framework)
    if own is None:
        return conformance_table(framework, seed, device, progress=progress)
    table = f"{conformance_table.__module__}:{conformance_table.__name__}"
    rows: list[ConformanceRow] = call(own, table, framework, seed, device, progress=progress)
    return rows


def load_results(path: str | Path) -> pd.DataFrame:
    """The records below `path` as a tidy table, see `spikemark.suites.records.load_results`."""
    from spikemark.suites.records import load_results as load

    return load(path)


def robustness(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    noises: Iterable[str] = ("gaussian", "salt-and-pepper", "spike-deletion"),
    severities: Iterable[int] = (1, 2, 3, 4, 5),
    steps: int = 4,
    encoder: str = "direct",
    batch_size: int = 256,
    framework: str | None = None,
    seed: int = 0,
    draws: int = 1,
    budgets: Mapping[Threat, Levels] | None = None,
) -> pd.DataFrame:
    """Accuracy of a network, clean and under noise.

    Args:
        model: ``[T, B, *shape]`` to ``[T, B, classes]``; unchanged afterwards but for evaluation mode.
        inputs: samples ``[N, ...]`` in 0..1, before encoding.
        labels: ``[N]``.
        noises: registered names.
        severities: among 1 to 5.
        steps: T of the encoder.
        encoder: a registered name.
        batch_size: samples at a time.
        framework: of the network's neurons, for noises that build neurons anew.
        seed: of all draws.
        draws: of each noise and severity; attacks search once.
        budgets: five levels of the attacks of a threat ("linf", "l2", "l0"), in place of the catalogue's.

    Returns:
        Columns ``noise severity accuracy``; severity 0 is clean. Several attacks of one threat have a further row, the
        worst of them per sample: ``worst-linf``.
    """
    import pandas as pd

    from spikemark.core.frameworks import get_adapter
    from spikemark.data.encoders import encode
    from spikemark.measures.noisy_accuracy import robustness as measure_robustness

    rows, _ = measure_robustness(
        model,
        "user",
        inputs,
        labels,
        lambda batch, random: encode(encoder, batch, steps, random),
        noises,
        severities,
        batch_size,
        get_adapter(framework) if framework is not None else None,
        seed=seed,
        draws=draws,
        budgets=budgets,
    )
    told = [row for row in rows if row["metric"] == "accuracy"]
    return pd.DataFrame(
        [{"noise": row["noise"], "severity": row["severity"], "accuracy": row["value"]} for row in told]
    )
