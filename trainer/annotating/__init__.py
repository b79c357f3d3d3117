"""From flows with traffic classes to a bundle that annotates: class, bandwidth and duration."""
