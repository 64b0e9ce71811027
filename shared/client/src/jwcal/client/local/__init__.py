"""The services as processes of this machine: what ``jwcal up`` starts and ``jwcal down`` stops."""
