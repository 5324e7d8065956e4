//! How many at once: ready queues per source and site; plan, connect, transact, settle.
