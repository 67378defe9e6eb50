"""What a network costs: memory, estimated from shapes (footprint), and time, layer by layer (profiling)."""
