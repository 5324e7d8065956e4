//! Power that fails at any octet: what was acknowledged is there, exactly; what was under way is there or not.

use super::record::{
    Accept, Draw, Folded, FoldedRecipient, Kind, Moved, Stamp, content_crc, stamp,
};
use super::*;
use proptest::prelude::*;
use tokio::task::JoinSet;

/// What a caller does to the `n`th message (modulo how many there are).
#[derive(Debug, Clone)]
enum Act {
    Commit { recipients: usize, len: usize },
    Doubt { message: usize },
    Defer { message: usize, recipient: usize },
    Deliver { message: usize, recipient: usize },
    Hold { message: usize, held: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let message = 0usize..1000;
    prop_oneof![
        3 => (1usize..4, 0usize..9000).prop_map(|(recipients, len)| Act::Commit { recipients, len }),
        2 => message.clone().prop_map(|message| Act::Doubt { message }),
        2 => (message.clone(), 0usize..4).prop_map(|(message, recipient)| Act::Defer { message, recipient }),
        4 => (message.clone(), 0usize..4).prop_map(|(message, recipient)| Act::Deliver { message, recipient }),
        1 => (message, any::<bool>()).prop_map(|(message, held)| Act::Hold { message, held }),
    ]
}

/// What a message may be after a start; `None` is not there.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    recipients: Vec<Recipient>,
    held: bool,
    len: usize,
    round: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Recipient {
    done: bool,
    attempts: u16,
    pending: u16,
    in_doubt: bool,
    deferred: bool,
}

/// All that each message may be: one state, or two where an act was under way when the power failed.
type Messages = BTreeMap<MessageId, Vec<Option<Model>>>;

impl Model {
    fn after(&self, act: &Act) -> Option<Model> {
        let mut next = self.clone();
        match act {
            Act::Commit { .. } => {}
            Act::Hold { held, .. } => next.held = *held,
            Act::Doubt { .. } => {
                let attempt = self.attempt();
                for r in next.recipients.iter_mut().filter(|r| !r.done) {
                    r.in_doubt |= r.pending > 0 && r.pending != attempt;
                    r.attempts = r.attempts.max(r.pending);
                    r.pending = attempt;
                }
            }
            Act::Defer { recipient, .. } | Act::Deliver { recipient, .. } => {
                let n = *recipient % next.recipients.len();
                let attempt = self.attempt();
                let r = &mut next.recipients[n];
                if !r.done {
                    r.in_doubt |= r.pending > 0 && r.pending != attempt;
                    (r.pending, r.attempts) = (0, attempt);
                    r.done = matches!(act, Act::Deliver { .. });
                    r.deferred = !r.done;
                }
            }
        }
        (!next.recipients.iter().all(|r| r.done)).then_some(next)
    }

    /// The attempt that an act now is about.
    fn attempt(&self) -> u16 {
        let open = self.recipients.iter().filter(|r| !r.done);
        open.map(|r| r.attempts.max(r.pending)).max().unwrap_or(0) + 1
    }

    /// As a start shows it: open attempts are in doubt.
    fn restarted(&self) -> Model {
        let mut next = self.clone();
        for r in next
            .recipients
            .iter_mut()
            .filter(|r| !r.done && r.pending > 0)
        {
            r.in_doubt = true;
            r.attempts = r.attempts.max(r.pending);
            r.pending = 0;
        }
        next
    }

    fn shows_as(&self, stored: &Stored) -> bool {
        let fresh = stored.progress.iter().zip(&self.recipients);
        self.held == stored.held.is_some()
            && self.recipients.len() == stored.progress.len()
            && fresh.into_iter().all(|(found, want)| {
                want.done == found.done
                    && (want.done
                        || want.attempts == found.attempts
                            && want.deferred == found.last.is_some()
                            && (found.in_doubt || !want.in_doubt))
            })
    }
}

async fn perform(
    spool: Spool,
    id: MessageId,
    model: Option<Model>,
    act: Act,
) -> Result<(), SpoolError> {
    let attempt = model.as_ref().map_or(1, Model::attempt);
    let recipients = model.as_ref().map_or(1, |m| m.recipients.len());
    let mark = |recipient: usize, what| Mark {
        id,
        at: START,
        outcomes: vec![((recipient % recipients) as u16, attempt, what)],
    };
    match act {
        Act::Commit { recipients, len } => {
            let mut draft = spool.draft();
            draft.write(&body(id, len)).await?;
            let message = Commit {
                meta: meta(id, recipients),
                head: HEAD.to_vec(),
                body: draft,
            };
            spool.commit(message).await
        }
        Act::Doubt { .. } => {
            let open = model.iter().flat_map(|m| m.recipients.iter().enumerate());
            let open: Vec<u16> = open
                .filter(|(_, r)| !r.done)
                .map(|(n, _)| n as u16)
                .collect();
            spool.in_doubt(id, &open, attempt).await
        }
        Act::Defer { recipient, .. } => spool.mark(mark(recipient, deferred("later"))).await,
        Act::Deliver { recipient, .. } => spool.mark(mark(recipient, delivered())).await,
        Act::Hold { held, .. } => spool.hold(id, held.then_some("why")).await,
    }
}

/// Runs one group of acts at once, each on a message of its own, and notes what may have come of them.
async fn group(spool: &Spool, acts: &[Act], messages: &mut Messages, round: usize) {
    let mut running = JoinSet::new();
    let mut busy = Vec::new();
    for act in acts {
        let (id, before) = match act {
            Act::Commit { .. } => (spool.next_id(), None),
            Act::Doubt { message }
            | Act::Defer { message, .. }
            | Act::Deliver { message, .. }
            | Act::Hold { message, .. } => {
                let known = messages.iter().filter(|(id, states)| {
                    states.len() == 1 && states[0].is_some() && !busy.contains(*id)
                });
                let known: Vec<_> = known.map(|(id, states)| (*id, states[0].clone())).collect();
                match known.get(message % known.len().max(1)) {
                    Some(known) => known.clone(),
                    None => continue,
                }
            }
        };
        busy.push(id);
        let after = match (act, &before) {
            (Act::Commit { recipients, len }, _) => Some(Model {
                recipients: vec![Recipient::default(); *recipients],
                held: false,
                len: *len,
                round,
            }),
            (act, Some(before)) => before.after(act),
            (_, None) => None,
        };
        messages.insert(id, vec![before.clone(), after]);
        let (spool, act) = (spool.clone(), act.clone());
        running.spawn(async move { (id, perform(spool, id, before, act).await) });
    }
    while let Some(done) = running.join_next().await {
        let (id, result) = done.unwrap();
        if result.is_ok() {
            let states = messages.get_mut(&id).unwrap();
            states.remove(0);
        }
    }
}

async fn check(found: &Found, messages: &mut Messages, round: usize) {
    assert_eq!(found.report.damages, [], "a torn write is no damage");
    for id in found.stored.keys() {
        assert!(messages.contains_key(id), "{id} was never handed in");
    }
    for arrived in &found.report.arrivals {
        let (id, states) = (arrived.meta.id, &messages[&arrived.meta.id]);
        let never_came =
            states.len() == 2 && states[0].is_none() && !found.stored.contains_key(&id);
        assert!(!never_came, "{id} was refused and is told as accepted");
    }
    for (id, states) in messages.iter_mut() {
        let stored = found.stored.get(id);
        let fits = |state: &Option<Model>| match (state, stored) {
            (None, None) => true,
            (Some(model), Some(stored)) => model.restarted().shows_as(stored),
            _ => false,
        };
        let fitting = states.iter().find(|state| fits(state)).cloned();
        let Some(state) = fitting else {
            panic!("{id}: {states:?} but found {stored:?}");
        };
        *states = vec![state.map(|model| model.restarted())];
        if let (Some(model), Some(stored)) = (&mut states[0], stored) {
            assert_eq!(
                read_all(&found.spool, *id).await.unwrap(),
                whole(*id, model.len)
            );
            for (want, got) in model.recipients.iter_mut().zip(&stored.progress) {
                assert!(
                    want.in_doubt || !got.in_doubt || model.round + 1 >= round,
                    "{id} is in doubt for no reason"
                );
                want.in_doubt = got.in_doubt;
            }
        }
    }
}

async fn run(rounds: Vec<(Vec<Vec<Act>>, i64, u64)>) {
    let world = World::new();
    let mut messages = Messages::new();
    let mut clock = 0;
    for (groups, octets, torn) in rounds {
        let found = world.start();
        check(&found, &mut messages, clock).await;
        world.disk.torn.store(torn, Ordering::SeqCst);
        world.disk.until_death.store(octets, Ordering::SeqCst);
        for acts in groups {
            clock += 1;
            world.pass_time();
            group(&found.spool, &acts, &mut messages, clock).await;
            if world.disk.dead.load(Ordering::SeqCst) {
                break;
            }
        }
        drop(found);
        world.disk.revive();
    }
    let found = world.start();
    check(&found, &mut messages, clock).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn what_was_acknowledged_survives_power_failures_exactly(
        rounds in proptest::collection::vec(
            (
                proptest::collection::vec(proptest::collection::vec(act(), 1..12), 1..25),
                0i64..600_000,
                prop_oneof![Just(0u64), any::<u64>()],
            ),
            1..5,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(rounds));
    }
}

#[tokio::test]
async fn a_message_whose_250_may_be_lost_is_in_doubt_after_a_crash_only() {
    let world = World::new();
    let spool = world.start().spool;
    let old = commit(&spool, 1, 10).await.unwrap();
    world.pass_time();
    let new = commit(&spool, 1, 10).await.unwrap();
    drop(spool);
    let found = world.start();
    assert!(!found.stored[&old].progress[0].in_doubt);
    assert!(found.stored[&new].progress[0].in_doubt);
    outcome(&found.spool, new, 0, 1, deferred("later")).await;
    world.pass_time();
    commit(&found.spool, 1, 10).await.unwrap();
    drop(found);
    let found = world.start();
    assert!(
        found.stored[&new].progress[0].in_doubt,
        "a later deferral does not answer for the first copy"
    );

    let world = World::new();
    let spool = world.start().spool;
    let id = commit(&spool, 1, 10).await.unwrap();
    spool.close().await.unwrap();
    drop(spool);
    assert!(!world.start().stored[&id].progress[0].in_doubt);
}

/// Found by the property above: the copy of a message was cut short, and the message went with it.
#[tokio::test]
async fn a_copy_that_was_cut_short_leaves_the_original() {
    let world = World::new();
    let spool = world.start().spool;
    let id = commit(&spool, 1, 3000).await.unwrap();
    drop(spool);
    let (path, at, last) = world.records().pop().unwrap();
    let moved = Moved {
        accept: Accept {
            meta: meta(id, 1),
            large: None,
        },
        folded: Folded {
            recipients: vec![FoldedRecipient {
                done: false,
                attempts: 0,
                until: START,
                in_doubt: false,
                pending: 0,
                last: None,
            }],
            held: None,
        },
    };
    let mut record = Vec::new();
    Draw {
        kind: Kind::Move,
        tls: Default::default(),
        id,
        at: START,
        meta: &postcard::to_allocvec(&moved).unwrap(),
        head: HEAD,
        body: &[0; 3000],
        content_crc: content_crc(HEAD, &body(id, 3000)),
    }
    .append(&mut record);
    let end = at + last.len();
    let place = Stamp {
        generation: last.generation,
        salt: last.salt,
        back: 0,
        batch: (end / UNIT as u64) as u32,
    };
    stamp(&mut record, place);
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&record, end).unwrap();

    let found = world.start();
    assert_eq!(found.report.damages, []);
    assert_eq!(found.report.torn, record.len() as u64);
    assert!(found.stored.contains_key(&id));
    assert_eq!(read_all(&found.spool, id).await.unwrap(), whole(id, 3000));
}
