"""Whole record batches from Kafka, for who reads many records: aiokafka's connections, our own reading."""
