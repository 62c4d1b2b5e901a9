"""Experiments in parts, on several processes or on a cluster.

tasks       a part of an experiment, and what carrying it out gives: files
experiment  which parts an experiment has now, and what becomes of their files
launcher    hands tasks out and takes results in; lost ones are handed out again
processes   on processes of this machine
ray         on a Ray cluster
"""
