"""The repository on disk, and what every room needs: errors, text, secrets, atomic files."""
