"""Rate-based backpropagation (Yu, Liu, Wang, Li and Wang, NeurIPS 2024).

The spikes are computed without a graph; backwards, the network is an ordinary one on mean rates, run once, in which
each neuron has the slope that it would have in backpropagation through time if its input were constant.
"""
