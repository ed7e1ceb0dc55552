"""What is done about noise: its level, steps that suit it, and runs in stages."""
