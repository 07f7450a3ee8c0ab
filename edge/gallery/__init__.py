"""The enrolled products: SQLite store (the truth), search index (a cache), and the decision.

``edge.gallery.gallery.Gallery`` puts the parts together; ``edge.gallery.build`` makes a gallery
from a folder of pictures. Importing this package loads nothing heavy.
"""
