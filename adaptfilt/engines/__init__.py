"""How an algorithm is run over a stream: every engine computes the same recursion.

============================  ======================================================================
`algorithm`                   what an engine is given: one function and a block to run
`vocabulary`                  the words that function is written in, as torch operations
`reference`                   the literal per-sample loop in torch: the definition
`compiled`, `loops`           the same function inside a sample loop on the CPU
`lookahead`, `vectors`        several samples a pass on the CPU, for rank-one filters
`block`                       exact blocks in torch, differentiable, any device, for rank-one filters
`triton_kernel`               one fused CUDA kernel for rank-one filters
`in_torch`, `frozen`          blocks for the engines on tensors; filtering with fixed weights
`native`, `fingerprint`,      Python source to machine code, what it depends on, and what the words mean there
`numba_*`
`learner`, `stepper`          a module with its loss and optimiser, and one step of it: `GradientFilter`
`mini_batches`,               the same steps over a block, in eager torch or as one compiled loop
`traced_step`, `tape*`
============================  ======================================================================
"""
