"""Tests of one room each, mirroring the rooms."""
