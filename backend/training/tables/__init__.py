"""Arrays and tables in files: their examples, classes and scaling."""
