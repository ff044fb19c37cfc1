"""From records to reports and verdicts, for one source partition. Pure: no Kafka, no clock."""
