"""Values to columns to profiles. Pure: values in, values out."""
