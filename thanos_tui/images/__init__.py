"""Images: the store they are kept in, and the recipes that make them from signed Debian packages."""
