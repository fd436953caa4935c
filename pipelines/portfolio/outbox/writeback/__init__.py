"""Writing changed scores back to where people work: CRMs, and servers of one's own."""
