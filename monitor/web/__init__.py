"""The web: one FastAPI application with the JSON interface and the pages.

``app`` puts it together, ``auth`` says who asks and ``access`` what they may, ``limits`` and ``shield`` stand before
every route, ``rooms`` opens what the routes read, ``api`` answers programs and ``pages`` people.
"""
