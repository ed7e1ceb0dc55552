"""Noise: its level, suitable steps of differences, and runs in stages."""
