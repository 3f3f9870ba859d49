"""Does `bench check` cry wolf, does it find what is there? ``python -m benchmarks.power`` says."""
