//! Loki's language over log records: what Grafana's Explore and Logs panels send.
