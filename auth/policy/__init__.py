"""The policy language and its evaluation: pure, no I/O, no clock (IAM User Guide, "Policy evaluation logic")."""
