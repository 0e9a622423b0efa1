"""Sleep as a regulator of weights: a recurrent network that learns by spike timing, and a callback for any other.

Massey, Hubin, Nichele and Sæbø 2026 (arXiv 2601.08447) pause learning now and then, let the network run on membrane
noise alone and pull every weight towards a baseline. `model` and `learner` are their recurrent network, `surrogate` is
the same idea beside backpropagation. Equations, choices and figures: docs/sleep.md. Nothing here knows data sets.
"""
