//! How fast mail becomes durable: our spool against embedded stores, with the harness of `benches/spool.rs`.

#[path = "../../spool/harness.rs"]
mod harness;
#[path = "../../spool/ours.rs"]
#[allow(dead_code)] // the variants of `benches/spool.rs`
mod ours;
#[path = "../../spool/plain.rs"]
#[allow(dead_code)]
mod plain;
#[path = "../../spool/process.rs"]
mod process;

use fjall::{Database, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use harness::{Latencies, grouped};
use redb::{Durability, TableDefinition};
use std::path::Path;
use std::time::Duration;

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGES: TableDefinition<u64, &[u8]> = TableDefinition::new("messages");

fn main() {
    harness::compare(&[
        ("mailwright: accept only", ours::accept_only),
        ("mailwright: accept, then delivered", ours::whole_life),
        ("growing segment files, group fdatasync", plain::growing),
        ("fjall 3, SyncData", fjall_rows),
        ("fjall 3 with key-value separation, SyncData", fjall_blobs),
        ("redb 4, Durability::Immediate", redb_rows),
    ]);
}

fn fjall_rows(dir: &Path, span: Duration) -> Latencies {
    fjall(dir, span, KeyspaceCreateOptions::default)
}

fn fjall_blobs(dir: &Path, span: Duration) -> Latencies {
    fjall(dir, span, || {
        let blobs = Some(KvSeparationOptions::default());
        KeyspaceCreateOptions::default().with_kv_separation(blobs)
    })
}

/// One batch a commit; 250 would follow its sync.
fn fjall(dir: &Path, span: Duration, options: fn() -> KeyspaceCreateOptions) -> Latencies {
    let database = Database::builder(dir).open().expect("the store opens");
    let messages = database.keyspace("messages", options).expect("a keyspace");
    let mut next = 0u64;
    grouped(span, |records| {
        let mut batch = database.batch().durability(Some(PersistMode::SyncData));
        for octets in records {
            batch.insert(&messages, next.to_be_bytes(), octets.as_slice());
            next += 1;
        }
        batch.commit().expect("committed");
    })
}

/// One transaction a commit.
fn redb_rows(dir: &Path, span: Duration) -> Latencies {
    let database = redb::Database::create(dir.join("messages.redb")).expect("the store opens");
    let mut next = 0u64;
    grouped(span, |records| {
        let mut transaction = database.begin_write().expect("a transaction");
        transaction
            .set_durability(Durability::Immediate)
            .expect("no savepoint is in the way");
        {
            let mut table = transaction.open_table(MESSAGES).expect("a table");
            for octets in records {
                table.insert(next, octets.as_slice()).expect("inserted");
                next += 1;
            }
        }
        transaction.commit().expect("committed");
    })
}
