"""What a launch is given: checkpoint, weights, tokenizer, dataset column, each compared with its pins. Nothing here runs a model."""
