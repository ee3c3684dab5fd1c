"""The compiled engine: sample loops as real functions, machine code kept on disk."""
