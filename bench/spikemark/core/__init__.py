"""What everything else stands on: specs of neurons, adapters, the oracle, streams, counts, statistics. No rows."""
