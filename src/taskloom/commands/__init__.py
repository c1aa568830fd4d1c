"""The commands by what they are about: parse, call, print. `cli` gathers them."""
