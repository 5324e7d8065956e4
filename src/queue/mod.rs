//! When: the scheduled queue.
