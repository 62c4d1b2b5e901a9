"""The names of the scalings; `scaling` says what they are. Importing this file costs nothing."""

SPO_PAIRS = "spo-pairs"
"""The scaling that learns a classifier of its own."""
SCALINGS = ("none", "batchnorm", "maxnorm", "spo", "spo-log", SPO_PAIRS)
