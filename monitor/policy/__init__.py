"""What is tolerable, and what to do when it is not. Pure: values in, values out."""
