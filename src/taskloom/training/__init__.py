"""The training room: what moves the weights, what keeps them safe, and the loop that shows the order of events."""
