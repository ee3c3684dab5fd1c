"""How an algorithm is run over a stream: every engine computes the same recursion.

========================  ==========================================================================
`vocabulary`              the words an update function is written in, as torch operations
`reference`               the literal per-sample loop in torch (any device, batched, differentiable)
`compiled`                the same function compiled by Numba into a loop on the CPU
`lookahead`               several samples a pass on the CPU, for rank-one filters
`block`                   exact blocks in torch, differentiable and on any device, for rank-one filters
`triton_kernel`           one fused CUDA kernel for rank-one filters
========================  ==========================================================================
"""
