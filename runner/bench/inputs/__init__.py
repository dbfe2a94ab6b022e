"""The inputs of a launch: checkpoint, weights, tokenizer and dataset column, each compared with its pins.

No module here runs a model or asks on which device the model is.
"""
