"""How the small pair of models that ships with the project is made: data, training, conversion, evaluation.

Nothing of it is installed, and the product imports nothing of it.
"""
