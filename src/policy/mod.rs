//! What is asked before mail moves, and why it waits.

pub mod limits;
pub mod providers;
pub mod suspension;
pub mod verdict;
pub mod warmup;
pub mod window;

pub use verdict::Held;
