"""Answers from texts."""
