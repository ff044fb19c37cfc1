"""The story that `make demo` tells: a served model turns unfair, and the monitor undoes it."""
