"""What programs ask: JSON, CSV and Parquet."""
