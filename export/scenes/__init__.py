"""The rendered store: procedural packages on procedural shelves, with ground truth."""
