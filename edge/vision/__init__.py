"""Models on the device: sessions, preprocessing, the detector and the embedder."""
