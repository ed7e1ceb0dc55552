"""One minimization in progress: budget, memory, questions, end."""
