"""The Identity and Access Management operations (AWS IAM API reference, version 2010-05-08)."""
