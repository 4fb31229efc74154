"""The staff pages of the upper tiers: cases by due date, notices, who has received what, links."""
