"""Runs as OpenTelemetry spans with OpenInference and GenAI attributes; off unless somebody asks."""
