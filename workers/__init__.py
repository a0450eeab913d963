"""Thin entry points of the jobs: each takes ids, calls named functions, and is safe to run twice."""
