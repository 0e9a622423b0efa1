"""Whether layers compute the spikes and gradients of the oracle."""
