"""The web application: people, permission, pages."""
