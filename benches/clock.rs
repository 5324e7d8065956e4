//! Time of every case: `cargo bench --bench clock [-- NAME]`.

mod cases;

use cases::Case;
use cases::auth::{SignEd25519, Unsigned, signers};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mailwright::auth::dkim::{Algorithm, Signers};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

macro_rules! timed {
    ($($name:ident: $case:ty,)*) => {
        fn every_case(criterion: &mut Criterion) {
            $(time::<$case>(criterion, stringify!($name));)*
            time::<SignRsa2048>(criterion, "dkim_sign_rsa2048");
        }
    };
}

every_case!(timed);

/// As [`SignEd25519`] with RSA-2048, which signs on another thread: the way there and back is in it. Not for callgrind,
/// which counts one thread and has not the AVX-512 instructions that real machines sign with.
struct SignRsa2048;

impl Case for SignRsa2048 {
    type Input = Unsigned;
    type Output = <SignEd25519 as Case>::Output;

    fn input() -> Self::Input {
        static KEY: LazyLock<Arc<Signers>> = LazyLock::new(|| signers(Algorithm::Rsa2048));
        Unsigned::with(&KEY)
    }

    fn run(unsigned: Self::Input) -> Self::Output {
        static RUNTIME: LazyLock<Runtime> =
            LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));
        let order = unsigned.order();
        let fields = RUNTIME.block_on(unsigned.signers.sign(&order));
        (unsigned, fields.expect("a signature"))
    }
}

fn time<C: Case>(criterion: &mut Criterion, name: &str) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(C::input, C::run, FEW);
    });
}

/// Inputs made at once, and outputs kept: no more than the spool takes in before somebody waits for it.
const FEW: BatchSize = BatchSize::NumIterations(64);

fn short() -> Criterion {
    Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
}

criterion_group!(name = message; config = short(); targets = every_case);
criterion_main!(message);
