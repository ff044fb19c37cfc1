"""Where reports and decisions are kept to be read: SQLite by default, InfluxDB for Grafana."""
