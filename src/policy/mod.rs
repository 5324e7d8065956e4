//! What is asked before mail moves, and why it waits.

pub mod verdict;

pub use verdict::Held;
