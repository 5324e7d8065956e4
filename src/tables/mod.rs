//! Tables for what waits by the million. They grow by a piece at a time: nothing is copied to grow, so that memory
//! rises evenly and nobody waits for a lock while a table doubles; and they give back what has become empty.

mod index;
mod indexed;
mod interned;
mod slab;

pub use index::{Index, mix};
pub use indexed::Indexed;
pub use interned::{Interned, Name};
pub use slab::Slab;
