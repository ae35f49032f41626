"""Experiments: chains over a corpus for some generations, and what of it arrived."""
