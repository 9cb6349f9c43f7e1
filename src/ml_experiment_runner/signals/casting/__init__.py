"""Values as a source writes them become values of the contract's types, or null."""
