"""A training step of whichever commit of Spikemark is on the path: forward, backward, Adam.

``python commit_step.py framework=fused network=convnet steps=4 batch=128 threads=2``
"""

import sys
import time

import torch

from spikemark import NEURONS, get_adapter
from spikemark.networks.build import build_network

try:
    from spikemark.core.allocator import keep_freed_memory
except ImportError:  # a commit whose jobs leave memory to the C library

    def keep_freed_memory() -> bool:
        """Does not."""
        return False


SHAPE, CLASSES = (1, 28, 28), 10


def main() -> None:
    """Make a step for every line."""
    options = dict(argument.split("=") for argument in sys.argv[1:])
    steps, batch = int(options["steps"]), int(options["batch"])
    torch.set_num_threads(int(options["threads"]))
    keep_freed_memory()
    model = build_network(
        options["network"], get_adapter(options["framework"]), NEURONS["stl"], SHAPE, CLASSES, 0, steps=steps
    ).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    frames = torch.rand((1, batch, *SHAPE), generator=torch.Generator().manual_seed(0))
    inputs, labels = frames.expand(steps, *frames.shape[1:]), torch.arange(batch) % CLASSES
    for _ in sys.stdin:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(inputs).mean(0), labels)
        loss.backward()
        optimizer.step()
        sys.stdout.write(f"{loss.item()} {time.process_time()}\n")
        sys.stdout.flush()


main()
