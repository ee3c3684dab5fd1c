"""How an algorithm is run over a stream: every engine runs a structure, and computes the same recursion.

======================  ============================================================================
`algorithm`             what an engine is given: one function and a block to run
`words`                 the words that function is written in, as torch operations
`choose`                what each engine cannot run, and which one is taken
`tensors`               any torch device: the reference loop, exact blocks, filtering with fixed weights
`cpu`                   machine code for the CPU: the loops as real functions, lookahead, compiler, cache
`gpu`                   one fused Triton kernel for CUDA
======================  ============================================================================
"""
