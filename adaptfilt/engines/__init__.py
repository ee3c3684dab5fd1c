"""How an algorithm is run over a stream: every engine computes the same recursion.

============================  ======================================================================
`algorithm`                   what an engine is given: one function and a block to run
`choose`                      what each engine cannot run, and which one is taken
`vocabulary`                  the words that function is written in, as torch operations
`reference`                   the literal per-sample loop in torch: the definition
`compiled`                    blocks and samples for the CPU: addresses, scratch, what to go back to
`loops`, `adapters`           the sample loops, as real code, and the few lines that fit an algorithm in
`lookahead`, `vectors`        several samples a pass on the CPU, for rank-one filters
`block`                       exact blocks in torch, differentiable, any device, for rank-one filters
`triton_kernel`               one fused CUDA kernel for rank-one filters
`in_torch`, `frozen`          blocks for the engines on tensors; filtering with fixed weights
`memory`, `numba_*`           the loops' own words, and what all words mean in machine code
`native`, `fingerprint`       Python to machine code, kept on disk under what it depends on
`learner`, `stepper`          a module with its loss and optimiser, and one step of it: `GradientFilter`
`mini_batches`,               the same steps over a block, in eager torch or as one compiled loop
`traced_step`, `tape*`
============================  ======================================================================
"""
