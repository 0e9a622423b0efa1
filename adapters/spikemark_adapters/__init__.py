"""Adapters: one module per framework, each turning a neuron spec into a layer of that framework."""
