"""A run of its own or a sweep with its jobs: here, in processes, on Slurm or on Ray."""
