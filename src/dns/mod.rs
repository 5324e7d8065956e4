//! From a domain to a site and its addresses.
