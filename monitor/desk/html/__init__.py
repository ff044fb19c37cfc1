"""A comparison as one page for people: everything in one file, nothing fetched, nothing from the data run."""

from monitor.desk.html.page import render_page

__all__ = ["render_page"]
