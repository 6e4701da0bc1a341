"""What is wrong with a policy, or not as it looks: `auth.lint.linter.lint`."""
