"""The commands `nir check` and `nir export`: options and output; the work is done by the other modules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

nir_app = typer.Typer(help="NIR graphs: what frameworks make of them, and ours as files.", no_args_is_help=True)
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="SPIKEMARK_DATA", help="Folder with data sets.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(nir_app, name="nir")


@nir_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A NIR graph.")],
    frameworks: Annotated[str, typer.Option(help="Comma-separated frameworks.")] = "snntorch,spikingjelly,norse",
    dt: Annotated[float, typer.Option(help="Seconds per step; a NIR file does not say.")] = 1e-4,
    steps: Annotated[int, typer.Option(help="Steps of the input.")] = 100,
    samples: Annotated[int, typer.Option(help="Samples of the input.")] = 4,
    rate: Annotated[float, typer.Option(help="Probability of a spike of the random input.")] = 0.3,
    amplitude: Annotated[float, typer.Option(help="Of each spike of the random input.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the random input.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Also write the table there.")] = None,
) -> None:
    """Run a graph on frameworks, each through its own importer, against NIR's equations; exit 1 if one differs."""
    from spikemark.core.tables import to_csv
    from spikemark.models.nir import input_shape, read_graph
    from spikemark.models.nir_check import check_graph, fires_at_threshold, random_spikes
    from spikemark.models.nir_tables import sentences, table

    names = [name.strip() for name in frameworks.split(",")]
    graph = read_graph(file)
    inputs = amplitude * random_spikes(input_shape(graph), steps, samples, rate=rate, seed=seed)
    found = check_graph(graph, names, dt=dt, inputs=inputs, name=file.name)
    rows = table([found])
    typer.echo(f"{found.name}: dt = {dt:g} s, {samples} samples of {steps} steps, spikes at a rate of {rate:g}")
    short = rows["causes"].mask(rows["causes"].str.startswith("refused"), "refused")  # the sentences say why
    typer.echo(rows.drop(columns="graph").assign(causes=short).to_string(index=False))
    for line in sentences(found):
        typer.echo(line)
    kinds = {type(node).__name__ for node in graph.nodes.values()} & {"IF", "LIF", "CubaLIF"}
    for kind in sorted(kinds):
        ties = [f"{name} {_fires(fires_at_threshold(name, kind))}" for name in names]
        typer.echo(f"{kind} at v == v_threshold, where NIR's does not fire: {', '.join(ties)}")
    if csv is not None:
        csv.write_text(to_csv(rows), encoding="utf-8")
    if not all(framework.faithful for framework in found.frameworks):
        raise typer.Exit(1)


@nir_app.command()
def export(
    system: Annotated[str, typer.Argument(help="A registered system.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    data: Annotated[str, typer.Option(help="Data set whose samples it is built for.")] = "digits",
    weights: Annotated[
        Path | None, typer.Option(help="Trained weights that a run kept (.safetensors); first weights if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the first weights.")] = 0,
    dt: Annotated[float, typer.Option(help="Seconds per step.")] = 1e-4,
) -> None:
    """Write a system as a NIR graph, with trained weights or the first weights of a seed."""
    from spikemark.core.frameworks import get_adapter
    from spikemark.data.card import DATASETS
    from spikemark.models.nir_export import to_nir, write_nir
    from spikemark.training.build import build_system
    from spikemark.training.system import SYSTEMS
    from spikemark.training.weights import load_kept

    card = DATASETS[data]
    adapter, steps = get_adapter("reference"), card.steps or 1
    network = build_system(SYSTEMS[system], adapter, card.shape, card.classes, seed, steps=steps)
    if weights is not None:
        load_kept(network, weights)
    graph = to_nir(network.eval(), card.shape, dt=dt)
    typer.echo(f"{write_nir(graph, out)}: {len(graph.nodes)} nodes, dt = {dt:g} s")


def _fires(fires: bool | None) -> str:
    return "refuses the neuron" if fires is None else "fires" if fires else "does not fire"
