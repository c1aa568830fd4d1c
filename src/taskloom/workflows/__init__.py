"""What the commands do, as functions: each joins the rooms above in the order in which things happen."""
