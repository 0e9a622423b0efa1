"""A discrete spike response model with full reset: the neuron of time-based training, outside of `NeuronSpec`.

Zhu, Fang, Xie, Huang and Yu, *Exploring loss functions for time-based training strategy in spiking neural networks*,
NeurIPS 2023. No framework has such a neuron; this one is Spikemark's own and runs in plain PyTorch.
"""
