"""Measurements of limitbench itself, against figures that it is held to. Never part of a test."""
