"""What is computed: `base` holds the stream, every other file one algorithm."""
