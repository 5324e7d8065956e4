//! How a new address earns its reputation.
