"""Local stand-ins for the two outside services: for the demo and for tests, never for production."""
