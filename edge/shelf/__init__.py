"""From frame results to what a store asks: facings, shares, reports."""
