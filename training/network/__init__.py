"""What needs PyTorch and transformers: the models, their training, and the comparison with llama.cpp.

Neither is a dependency of this project; the rest of ``training`` runs without them.
"""
