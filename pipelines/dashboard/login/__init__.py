"""Login pages: who enters, and who may."""
