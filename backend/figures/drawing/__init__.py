"""What the figures draw with: scales, colours, layout and traces."""
