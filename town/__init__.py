"""The town 镇: the tier that handles and relays."""
