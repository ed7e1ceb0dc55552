"""Options and settings: declared, checked, shown."""
