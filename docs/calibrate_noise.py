"""How much each noise costs a plain LIF network at each severity: the table of docs/noise.md.

    SPIKEMARK_DATA=DIR python docs/calibrate_noise.py

Severities are chosen on this task: level 1 should cost about a point of accuracy and level 5 about half of the margin
over chance, as far as the noise can be that strong. Validation samples are used, so that no choice rests on test data.
"""

from __future__ import annotations

import torch

from spikemark.core.frameworks import get_adapter
from spikemark.data.card import Sizes
from spikemark.data.encoders import encode
from spikemark.data.loading import load_dataset
from spikemark.measures.noisy_accuracy import robustness
from spikemark.noise.case import NOISES, SEVERITIES
from spikemark.training.build import build_system
from spikemark.training.loop import train
from spikemark.training.rule import Protocol
from spikemark.training.system import SYSTEMS

SYSTEM, SEEDS = "mlp-lif", (0, 1, 2)
# Noise on events is measured where there are events. Encoder, steps and epochs; attacks see fewer samples.
TASKS = {
    "fashion-mnist": (Sizes(10_000, 3_000, 1), Protocol(epochs=5, batch_size=128, encoder="direct", steps=4)),
    "nmnist1k": (Sizes(850, 150, 1), Protocol(epochs=12, batch_size=64, encoder="frames", steps=10)),
}
ATTACKED = 600


def curves(task: str, seed: int) -> dict[tuple[str, int], float]:
    """Accuracy by noise and severity of one trained network."""
    sizes, protocol = TASKS[task]
    system, adapter = SYSTEMS[SYSTEM], get_adapter("reference")
    data = load_dataset(task, sizes=sizes)
    model = build_system(system, adapter, data.shape, data.classes, seed)
    train(model, system.rule, data, protocol, seed)
    found: dict[tuple[str, int], float] = {}
    for attack in (False, True):
        count = ATTACKED if attack else len(data.validation)
        rows, _ = robustness(
            model,
            task,
            data.validation.inputs[:count],
            data.validation.labels[:count],
            lambda batch, generator: encode(protocol.encoder, batch, protocol.steps, generator),
            [name for name in names(task) if (NOISES[name].domain == "adversary") == attack],
            SEVERITIES,
            512,
            adapter,
            data.validation.recordings,
            seed=seed,
        )
        found |= {(str(row["noise"]), int(row["severity"])): row["value"] for row in rows}
    return found


def names(task: str) -> list[str]:
    """The noises that are measured on a task."""
    return [name for name, noise in NOISES.items() if (noise.kinds == ("events",)) == (task == "nmnist1k")]


def main() -> None:
    """Print one table per task in Markdown: mean over seeds, in points below the clean accuracy."""
    torch.set_num_threads(1)
    for task in TASKS:
        found = [curves(task, seed) for seed in SEEDS]
        mean = {key: 100 * sum(curve[key] for curve in found) / len(found) for key in found[0]}
        print(f"clean: {mean[names(task)[0], 0]:.1f} % ({task}, {SYSTEM}, seeds {SEEDS})\n")
        print(
            "| noise | levels | unit | lost at 1 | 2 | 3 | 4 | 5 |\n| --- | --- | --- | --: | --: | --: | --: | --: |"
        )
        for name in names(task):
            noise = NOISES[name]
            lost = " | ".join(f"{mean[name, 0] - mean[name, severity]:.1f}" for severity in SEVERITIES)
            print(f"| {name} | {', '.join(f'{level:g}' for level in noise.levels)} | {noise.unit} | {lost} |")


if __name__ == "__main__":
    main()
