"""The Security Token Service's operations (AWS STS API reference, version 2011-06-15)."""
