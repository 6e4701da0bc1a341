"""The Organizations operations (AWS Organizations API reference, version 2016-11-28)."""
