"""What is computed: one algorithm a file, in folders by family, and nothing else."""
