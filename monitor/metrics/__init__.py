"""Profiles to measures: drift, fairness, quality. Pure: values in, values out."""
