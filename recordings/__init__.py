"""Media only: from RTP packets to sealed objects and back. No SQL, no web, no accounts."""
