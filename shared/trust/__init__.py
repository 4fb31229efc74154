"""Who may say it: keys, certificates, epochs, authority. Pure."""
