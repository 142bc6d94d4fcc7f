"""What can be checked without a measurement: reading, deciding and drawing."""
