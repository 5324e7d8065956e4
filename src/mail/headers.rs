//! Header section: scanning and editing, octet for octet.
