"""What the engine may touch on AWS, as IAM documents made of the configuration."""
