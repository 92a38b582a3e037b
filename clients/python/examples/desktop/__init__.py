"""A desktop window on a running server: sessions as they progress, and the photos that wait for approval."""
