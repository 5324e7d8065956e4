//! Whatever two processes do, they end up with the same.

use super::*;
use proptest::prelude::*;

/// What may happen to two processes on one store.
#[derive(Debug, Clone)]
enum Step {
    Suspend {
        process: usize,
        source: usize,
        place: usize,
        minutes: u32,
    },
    Lift {
        process: usize,
        source: usize,
        place: usize,
    },
    Refresh {
        process: usize,
    },
    Flush {
        process: usize,
    },
    Pass {
        minutes: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (process, source, place) = (0..2usize, 0..2usize, 0..2usize);
    prop_oneof![
        4 => (process.clone(), source.clone(), place.clone(), 0u32..300)
            .prop_map(|(process, source, place, minutes)| Step::Suspend { process, source, place, minutes }),
        1 => (process.clone(), source, place).prop_map(|(process, source, place)| Step::Lift { process, source, place }),
        2 => process.clone().prop_map(|process| Step::Refresh { process }),
        2 => process.prop_map(|process| Step::Flush { process }),
        1 => (1u32..120).prop_map(|minutes| Step::Pass { minutes }),
    ]
}

fn place(n: usize) -> At {
    if n == 0 { google() } else { site("mx") }
}

/// Carries out the steps. After each, no suspension of the process that acted ends earlier than before, lifting aside.
async fn carry_out(world: &World, steps: &[Step]) -> Result<[Suspensions; 2], TestCaseError> {
    let processes = [world.process().await, world.process().await];
    for step in steps {
        match step {
            Step::Suspend {
                process,
                source,
                place: at,
                minutes,
            } => {
                let process = &processes[*process];
                let now = world.clock.now();
                let source = ["ip-a", "ip-b"][*source];
                let before = process
                    .until(source, "mx", "google", now)
                    .map(|held| held.until);
                let wanted = now + *minutes * MINUTE;
                let held = process.suspend(Suspension {
                    since: now,
                    ..suspension(source, place(*at), wanted)
                });
                let short = wanted.since(held.until) * LEAST_GAIN;
                prop_assert!(short <= wanted.since(now), "{held:?} is short of {wanted}");
                let after = process
                    .until(source, "mx", "google", now)
                    .map(|held| held.until);
                prop_assert!(after >= before);
            }
            Step::Lift {
                process,
                source,
                place: at,
            } => {
                let source = ["ip-a", "ip-b"][*source];
                processes[*process].lift(source, &place(*at), "enough");
            }
            Step::Refresh { process } => processes[*process].refresh().await.unwrap(),
            Step::Flush { process } => processes[*process].flushed().await,
            Step::Pass { minutes } => world.clock.advance(*minutes * MINUTE),
        }
    }
    Ok(processes)
}

proptest! {
    #[test]
    fn processes_on_one_store_come_to_agree_with_it(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let [one, two] = carry_out(&world, &steps).await?;
            one.flushed().await;
            two.flushed().await;
            one.refresh().await.unwrap();
            two.refresh().await.unwrap();
            prop_assert_eq!(one.list(), two.list());
            prop_assert_eq!(world.keys().await.len(), one.list().len());
            prop_assert_eq!(world.process().await.list(), one.list());
            Ok(())
        })?;
    }
}
