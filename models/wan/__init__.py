"""Public checkpoints of the causal Wan family as worlds: geometry, network, sampler, files, decoder."""
