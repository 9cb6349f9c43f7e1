"""What `python run.py clean` removes: how it is found, and how it is removed."""
