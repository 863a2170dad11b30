"""The verbs of the command line, a file each; what they call is imported when they run."""
