"""What frameworks make of NIR graphs: reports/nir.md and results/nir.csv.

    SPIKEMARK_DATA=DIR python docs/nir_table.py

Small graphs, each with one peculiarity (`spikemark.models.nir_cases`), and the graphs of Pedersen et al. (Nature
Communications 15, 8122, 2024; github.com/neuromorphs/NIR, commit 7232ada) in DIR/NIR.
"""

from __future__ import annotations

import os
import re
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import framework_version
from spikemark.core.tables import to_csv
from spikemark.data.card import Binning
from spikemark.data.loading import load_dataset
from spikemark.models.nir import input_shape, load_nir, read_graph
from spikemark.models.nir_cases import cases
from spikemark.models.nir_causes import CAUSES, OTHER_CAUSES
from spikemark.models.nir_check import FrameworkCheck, GraphCheck, check_graph, fires_at_threshold, random_spikes
from spikemark.models.nir_tables import sentences, table, told

FRAMEWORKS = ("snntorch", "spikingjelly", "norse", "sinabs")
OUT = Path("reports")
CNN, BRAILLE, LIF = "cnn_sinabs.nir", "braille_noDelay_bias_zero.nir", "lif_norse.nir"
# Steps of one second: this file counts tau and r in steps.
GRAPHS = {LIF: 1e-4, BRAILLE: 1e-4, CNN: 1.0}
PUBLISHED = (
    "sinabs 98.47, SpiNNaker2 98.2, Lava 98.15, Norse 98.11, Nengo 98.11, snnTorch 97.85, Spyx 97.12 and Speck 95.4 %"
)
STEPS = 340


def matrix(checks: list[GraphCheck]) -> pd.DataFrame:
    """One row per graph, one column per framework."""
    rows = [{"graph": check.name} | {one.framework: _cell(one) for one in check.frameworks} for check in checks]
    return pd.DataFrame(rows)


def _cell(check: FrameworkCheck) -> str:
    if check.refusal is not None:
        if check.requires:
            return f"refused; asks for {' and '.join(check.requires)}"
        if found := re.search(r"Unknown node type <class '[\w.]*\.(\w+)'>", check.refusal):
            return f"refused; knows no {found[1]}"
        return "a different model each time" if "from time to time" in check.refusal else "refused"
    causes = dict.fromkeys(cause for node in check.nodes for cause in node.causes)
    if check.faithful:
        return "exact"
    left = f", {check.unexplained} unexplained" if check.unexplained else ""
    return f"{check.differing} of {check.outputs} differ: {', '.join(causes)}{left}"


def ties() -> pd.DataFrame:
    """Who fires where the membrane equals the threshold."""
    said = {None: "refuses the neuron", True: "fires", False: "does not fire"}
    kinds = ("IF", "LIF", "CubaLIF")
    return pd.DataFrame([{"node": k} | {f: said[fires_at_threshold(f, k)] for f in FRAMEWORKS} for k in kinds])


def exact_trace(folder: Path) -> str:
    """The published LIF on its published input."""
    trace = np.loadtxt(folder / "lif_exact.csv", delimiter=",")
    graph, x = read_graph(folder / LIF), torch.from_numpy(trace[:, :1, None]).float()
    expected = np.flatnonzero(trace[:, 2]).tolist()
    found = {f: torch.nonzero(load_nir(graph, f)(x).flatten()).flatten().tolist() for f in ("reference", *FRAMEWORKS)}
    same = [framework for framework, spikes in found.items() if spikes == expected]
    others = "".join(f"; {framework}: {spikes}" for framework, spikes in found.items() if spikes != expected)
    return f"The exact solution fires in steps {expected} of {len(x)}; so do {', '.join(same)}{others}."


def accuracy(folder: Path, batch: int = 20) -> pd.DataFrame:
    """The published convolutional network on 100 test recordings of N-MNIST, in steps of 1 ms."""
    binning = Binning(by="time", steps=STEPS, window_us=1_000 * STEPS, mode="binary")
    test = load_dataset("nmnist1k", binning=binning).test
    graph, rows, counts = read_graph(folder / CNN), [], {}
    for framework in ("reference", *FRAMEWORKS):
        try:
            model = load_nir(graph, framework, dt=GRAPHS[CNN])
        except Unsupported as error:
            rows.append({"framework": framework, "accuracy": "refused", "classes as the oracle": str(error)})
            continue
        scores = [model(part.transpose(0, 1)).sum(0) for part in test.inputs.split(batch)]
        counts[framework] = torch.cat(scores)
        chosen = counts[framework].argmax(-1)
        right, same = int((chosen == test.labels).sum()), int((chosen == counts["reference"].argmax(-1)).sum())
        equal = int((counts[framework] == counts["reference"]).all(-1).sum())
        rows.append(
            {
                "framework": framework,
                "accuracy": f"{right} of {len(chosen)}",
                "classes as the oracle": f"{same} of {len(chosen)}; every output count equal in {equal}",
            }
        )
    return pd.DataFrame(rows)


def _published(folder: Path, name: str, dt: float) -> GraphCheck:
    graph = read_graph(folder / name)
    steps, samples = (30, 2) if name == CNN else (200, 8)
    inputs = random_spikes(input_shape(graph), steps, samples)
    return check_graph(graph, FRAMEWORKS, dt=dt, inputs=inputs, name=f"{name}, dt = {dt:g} s")


def main() -> None:
    """Write the report."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    folder = Path(os.environ["SPIKEMARK_DATA"]) / "NIR"
    small = [check_graph(c.graph, FRAMEWORKS, dt=c.dt, inputs=c.inputs(), name=c.name) for c in cases()]
    published = [_published(folder, name, dt) for name, dt in (*GRAPHS.items(), (LIF, 1e-3), (CNN, 1e-4))]
    faithful = {f: sum(one.faithful for c in small for one in c.frameworks if one.framework == f) for f in FRAMEWORKS}
    refused = {
        f: sum(one.refusal is not None for c in small for one in c.frameworks if one.framework == f) for f in FRAMEWORKS
    }
    versions = ", ".join(f"{name} {framework_version(name)}" for name in FRAMEWORKS)
    parts = [
        "# NIR: one graph on several frameworks",
        "## What this says",
        "\n".join(
            f"- Of {len(small)} small graphs {f} computes {faithful[f]} as NIR says and "
            f"{len(small) - faithful[f] - refused[f]} otherwise, and refuses {refused[f]}."
            for f in FRAMEWORKS
        ),
        f"Made by `python docs/nir_table.py` with {versions}, nir {version('nir')}, nirtorch {version('nirtorch')}; "
        "[docs/nir.md](../docs/nir.md) says how. Each framework imports the graph with its own importer and its own "
        "defaults; spikes are compared with NIR's equations in float64. A cause is named where the equations with that "
        "deviation give the framework's spikes at every step.",
        "sinabs runs in an environment of its own, with nir 1.0.4, which has neither v_reset nor CubaLI. Rockpool's "
        "importer asks a nir.LIF for `tau_mem`, which is called `tau`, and has no nir.IF. Spyx has no adapter.",
        "## Small graphs, each with one peculiarity",
        matrix(small).to_markdown(index=False),
        "Inputs: 2 samples of 60 steps, multiples of 1/64, so that membranes can equal their thresholds. dt = 1e-4 s "
        "unless the name says otherwise.",
        "## A membrane that equals its threshold",
        "NIR fires above the threshold only.",
        ties().to_markdown(index=False),
        "## Published graphs",
        f"`{LIF}`: {exact_trace(folder)}",
        table(published).to_markdown(index=False),
        *(line for check in published for line in (f"`{check.name}`", *(f"- {said}" for said in sentences(check)))),
        f"## `{CNN}` on N-MNIST",
        f"The 100 test recordings of `nmnist1k`, {STEPS} steps of 1 ms, dt = 1 (the file counts in steps); the class "
        f"is that of the most output spikes. Published for this file on all 10,000 test recordings: {PUBLISHED}. "
        "100 of 100 has the 95 % interval of 96.4 to 100 % (Clopper and Pearson).",
        accuracy(folder).to_markdown(index=False),
        "## Causes",
        *(f"- `{name}`: the importer {told(name)}." for name in (*CAUSES, *OTHER_CAUSES)),
    ]
    OUT.mkdir(exist_ok=True)
    (OUT / "nir.md").write_text("\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n", encoding="utf-8")
    Path("results/nir.csv").write_text(to_csv(table([*small, *published])), encoding="utf-8")


if __name__ == "__main__":
    with torch.no_grad():
        main()
