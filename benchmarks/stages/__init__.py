"""What a run does, stage by stage: prepare, draw, fit, relabel, train, evaluate, write."""
