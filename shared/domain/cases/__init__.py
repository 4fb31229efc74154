"""Cases 民情件: what people say, the answers, and what they think of them."""
