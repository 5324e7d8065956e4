//! How fast and how many at once.
