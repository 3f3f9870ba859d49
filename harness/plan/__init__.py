"""From a sweep's name or a user's file to a plan.

A plan is its points, and their trials in seeded order.

Knows which values tell most, and how a user writes limits and programs. Asks no engine.
"""
