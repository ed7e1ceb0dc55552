"""What is minimized: the one place where what the user gives is checked."""
