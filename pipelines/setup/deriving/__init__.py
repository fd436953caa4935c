"""What no table holds as such, and a query works out: contracts of deals, states of files."""
