"""What people see in Grafana, as code: ``make dashboards`` writes the files that Grafana reads."""
