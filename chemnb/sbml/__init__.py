"""Models of other tools, in SBML and Antimony."""
