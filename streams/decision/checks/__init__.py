"""The built-in checks, which are asked before any rule of a policy."""
