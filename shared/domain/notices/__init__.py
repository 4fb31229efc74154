"""Notices 公开件: what is made public, corrected and withdrawn."""
