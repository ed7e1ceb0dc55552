"""How a gradient that is not given is had from values."""
