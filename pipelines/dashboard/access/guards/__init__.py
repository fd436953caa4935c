"""What keeps out forged requests and guesses, whoever they are from."""
