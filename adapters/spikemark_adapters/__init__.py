"""Adapters: one module a framework, each turning a neuron spec into a layer of that framework."""
