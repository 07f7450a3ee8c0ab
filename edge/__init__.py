"""shelf-edge: finds, identifies and counts the products on a shelf, on the device, offline."""
