//! How fast mail becomes durable: our spool against the simpler ways to write it.
//!
//! `cargo bench --bench spool`; `spool-peers/` has the embedded stores. [`harness::compare`] says what can be set.

#[path = "spool/harness.rs"]
mod harness;
#[path = "spool/ours.rs"]
mod ours;
#[path = "spool/plain.rs"]
mod plain;
#[path = "spool/process.rs"]
mod process;

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    harness::compare(&[
        ("mailwright: accept only", ours::accept_only),
        ("mailwright: accept, then delivered", ours::whole_life),
        ("mailwright: accept only, sync = false", ours::unsynced),
        ("growing segment files, group fdatasync", plain::growing),
        (
            "a file a message, fsync of file and directory",
            plain::file_each,
        ),
    ]);
}
