"""llama.cpp in-process: a real model without a key and without a network."""
