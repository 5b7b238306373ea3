"""The broker of a deployment: keys, certificates and configuration in one directory; partners that come and go."""
