"""Coverage-guided fuzzing of what reads bytes. What is found is kept as a case; every test run replays the cases."""
