//! dkim
