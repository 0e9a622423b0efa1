"""What DIET-SNN is compared with here."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

CLAIMS = (
    Claim(
        "diet-over-lif",
        "Learned threshold and decay of a layer together (DIET-SNN) beat LIF",
        "DIET-SNN: Rathi and Roy, IEEE TNNLS 2023",
        "compared there with converted networks only",
        (contrast("mlp-diet", "mlp-lif", margin=0.2, learned={"first": "threshold"}),),
        "ours: trained from scratch with batch norm and spiking outputs, where the paper converts a trained network, "
        "fine-tunes it without norms and accumulates at its output; MLP, learning rates tuned for each arm",
        ("fashion-mnist",),
    ),
)
