"""Many runs that advance together."""
