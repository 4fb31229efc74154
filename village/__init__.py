"""The village 村: the tier that meets the people, also when its line is down."""
