"""The AWS wire: JSON 1.0/1.1 and Query, Signature Version 4, dispatch and errors; it knows no service by name."""
