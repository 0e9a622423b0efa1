"""Time-based training: losses that say which way each output spike should move, and the rule that uses them.

Zhu, Fang, Xie, Huang and Yu, NeurIPS 2023; neurons and synapses are those of `spikemark.srm`.
"""
