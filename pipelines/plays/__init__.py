"""What a team did about accounts at risk, and what came of it."""
