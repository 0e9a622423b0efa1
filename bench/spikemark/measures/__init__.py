"""What is measured on a system: accuracy, robustness, energy, throughput, conformance."""
