//! The single way in.
