"""How much each noise costs a plain LIF network at each severity: the table of docs/noise.md.

    SPIKEMARK_DATA=DIR python docs/calibrate_noise.py

Severities are chosen on this task: level 1 should cost about a point of accuracy and level 5 about half of the margin
over chance, as far as the noise can be that strong. Validation samples are used, so that no choice rests on test data.
"""

from __future__ import annotations

import torch

from spikemark.adapter import get_adapter
from spikemark.datasets import Sizes, encode, load_dataset
from spikemark.measures.robustness import robustness
from spikemark.networks import build_network
from spikemark.noise import NOISES, SEVERITIES
from spikemark.systems import SYSTEMS
from spikemark.training.learner import Protocol
from spikemark.training.loop import train

DATASET, SYSTEM, SEEDS = "fashion-mnist", "mlp-lif", (0, 1, 2)


def curves(seed: int) -> dict[tuple[str, int], float]:
    """Accuracy by noise and severity of one trained network."""
    system, adapter = SYSTEMS[SYSTEM], get_adapter("reference")
    data = load_dataset(DATASET, sizes=Sizes(10_000, 3_000, 1))
    model = build_network(
        system.network,
        adapter,
        system.spec,
        data.shape,
        data.classes,
        seed,
        normalization=system.normalization,
        options=system.options,
    )
    train(model, system, data, Protocol(epochs=5, batch_size=128, encoder="direct", steps=4), seed)
    rows, _ = robustness(
        model,
        DATASET,
        data.validation.inputs,
        data.validation.labels,
        lambda batch, generator: encode("direct", batch, 4, generator),
        NOISES,
        SEVERITIES,
        512,
        adapter,
    )
    return {(row["noise"], row["severity"]): row["value"] for row in rows}


def main() -> None:
    """Print the table in Markdown: mean over seeds, in points below the clean accuracy."""
    torch.set_num_threads(1)
    found = [curves(seed) for seed in SEEDS]
    mean = {key: 100 * sum(curve[key] for curve in found) / len(found) for key in found[0]}
    print(f"clean: {mean['gaussian', 0]:.1f} % ({DATASET}, {SYSTEM}, T = 4, seeds {SEEDS})\n")
    print("| noise | levels | unit | lost at 1 | 2 | 3 | 4 | 5 |\n| --- | --- | --- | --: | --: | --: | --: | --: |")
    for name, noise in NOISES.items():
        lost = " | ".join(f"{mean[name, 0] - mean[name, severity]:.1f}" for severity in SEVERITIES)
        print(f"| {name} | {', '.join(f'{level:g}' for level in noise.levels)} | {noise.unit} | {lost} |")


if __name__ == "__main__":
    main()
