"""What is fitted: pipelines, the ensemble and its members, the network."""
