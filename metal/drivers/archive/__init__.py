"""A Debian archive as apt trusts it: signed Release, sums of the indices, sums of the packages."""
