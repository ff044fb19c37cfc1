"""The model registry: MLflow, and nothing else, is known here."""
