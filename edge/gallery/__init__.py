"""The gallery of enrolled SKUs: the store, the index and the matching decision."""
