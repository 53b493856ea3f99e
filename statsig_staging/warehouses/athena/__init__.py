"""AWS Athena: statements at its API, tables in Glue, files in S3."""
