"""Workstation side of shelf-edge: training, evaluation, packing and the rendered store."""
