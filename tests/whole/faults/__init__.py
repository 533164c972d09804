"""What can go wrong on a site: each fault ends in the right state, with its reason and one clear sentence."""
