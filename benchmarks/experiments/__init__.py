"""What is run: settings, presets, methods, sweeps, and what makes two runs the same experiment."""
