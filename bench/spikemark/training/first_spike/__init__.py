"""First-spike networks and their local rules: S2-STDP, SSTDP, R-STDP and Neuronal Competition Groups.

Inputs and neurons spike at most once, at a float time in 0..1 where 1 means "silent"; there are no time steps. Sources:
Goupy, Tirilly and Bilasco, NeurIPS 2024 (arXiv 2410.17066) for the groups, and Frontiers in Neuroscience 18, 2024
(arXiv 2308.02194) for S2-STDP and paired neurons. `docs/local_learning.md` says what of it is ours.
"""
