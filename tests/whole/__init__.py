"""The whole way: a real gateway process, a real MLflow, real git repositories, this machine and a real Slurm."""
