"""The pages: HTML for people, rendered here, live by server-sent events.

``routes`` reads and answers; ``fleet``, ``model``, ``window`` and ``decision`` say what a page shows, and are pure;
``templates`` and ``static`` say how it looks.
"""
