//! Instructions of every case, by callgrind. `benches/instructions` runs this and compares with the baseline.

mod cases;

use cases::Case;
use gungraun::{LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use std::hint::black_box;

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

macro_rules! counted {
    ($($name:ident: $case:ty,)*) => {
        $(
            #[library_benchmark]
            #[bench::of(setup = warm::<$case>)]
            fn $name(input: <$case as Case>::Input) -> <$case as Case>::Output {
                <$case as Case>::run(black_box(input))
            }
        )*
        library_benchmark_group!(name = message, benchmarks = [$($name),*]);
    };
}

every_case!(counted);

/// An input, after a call that is not counted: what is made once, the allocator's pages among it, is there then.
fn warm<C: Case>() -> C::Input {
    drop(C::run(C::input()));
    C::input()
}

main!(
    config = LibraryBenchmarkConfig::default().env("GLIBC_TUNABLES", NO_STRING_INSTRUCTIONS),
    library_benchmark_groups = message
);

/// Callgrind counts `rep movsb` once an octet, which the C library copies over 2 KiB with: a copy would seem to cost
/// more than a scan. Vector instructions instead.
const NO_STRING_INSTRUCTIONS: &str = "glibc.cpu.x86_rep_movsb_threshold=1073741824:\
     glibc.cpu.x86_rep_stosb_threshold=1073741824";
