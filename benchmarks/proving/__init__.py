"""The rows of `benchmarks/proofs.py`: each module here gives `rows(full)`."""
