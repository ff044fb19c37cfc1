"""The prediction log: every decision answerable for as long as the law asks, and no longer.

``keys`` seal and pseudonymise, ``rows`` turn records into rows, ``table`` is Delta Lake, ``archiver`` reads Kafka,
``query`` and ``where`` ask, ``expiry`` forgets.
"""
