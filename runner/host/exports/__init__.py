"""Results in the formats of other tools, one module for each format. Measurements come in, text or bytes come out; nothing here writes a
file.
"""
