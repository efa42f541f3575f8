"""`python -m src.predictions`: what theory predicts, as tables and figures; nothing is trained."""
