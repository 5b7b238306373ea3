"""
What Deelname's services say to each other and to other systems.

This package imports pydantic and nothing else. Read it in this order: ``subjects`` (where things are said),
``envelope`` (how), ``facts`` (what has come true), ``intake`` (what other systems ask), ``commands`` and ``queries``
(what staff tools ask).
"""
