"""The names of the scalings; `scaling` says what they are. Importing this file costs nothing."""

SCALINGS = ("none", "batchnorm", "maxnorm", "spo", "spo-log", "spo-pairs")
