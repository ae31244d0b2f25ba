"""`clinic bench`: how close booking comes to the database's own limit, as ratios in one run."""
