"""`limelight bench`: speed, memory and cost of models in every runtime, side by side in one run."""
