"""The whole: composition root, what people can do with a node, commands, the control socket."""
