"""How a stream is held: the verbs, the delay line, weights, parameters, checkpoints; no algorithm's maths."""
