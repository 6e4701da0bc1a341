"""The second dialect: the operations of the ECR API (Amazon ECR API reference, version 2015-09-21)."""
