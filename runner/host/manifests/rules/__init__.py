"""The rules that rendered objects keep, one module per source of rules. Pure: objects in, sentences out."""
