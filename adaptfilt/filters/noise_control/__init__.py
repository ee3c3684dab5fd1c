"""Active noise control: filters whose output is heard through a path."""
