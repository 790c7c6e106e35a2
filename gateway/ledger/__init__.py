"""The books: append-only rows of every edit's money, in SQL."""
