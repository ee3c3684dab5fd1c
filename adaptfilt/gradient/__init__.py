"""Gradient descent on any torch module, sample by sample: `GradientFilter` and its inside.

- ``filter``: the filter, which holds the stream and supplies the hooks of its base class.
- ``learner``: a module with its loss and its optimiser, which is what is adapted; and a block as modules see it.
- ``eager_step``: one step on a mini-batch in torch, the definition of what the filter does.
- ``mini_batches``: a block taken mini-batch by mini-batch, in torch or as a traced step.
- ``traced_step``, ``tape_writer``, ``tape``: the step as tensor operations, these as a tape, and what plays a tape.
- ``as_lms``: a linear layer under plain SGD, which runs on the engine of LMS.
"""
