"""Pages that a browser shows: they need a static file server, and no other."""
