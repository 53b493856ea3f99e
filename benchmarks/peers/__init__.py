"""What this library is measured against: one small program each, in an environment of their own."""
