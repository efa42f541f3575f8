"""What can be said without training: the post's formulas, stationary points, their spectra, certificates, branches."""
