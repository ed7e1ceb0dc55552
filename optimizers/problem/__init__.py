"""What is minimized: the one place where the user's input is checked."""
