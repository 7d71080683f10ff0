"""What a microscope can look for: a module a kind of look, each a stream of records."""
