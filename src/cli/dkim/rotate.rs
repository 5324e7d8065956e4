//! `dkim rotate`: the next step from one key to the next.

use crate::auth::dkim::{
    Begin, Book, BookError, CHANGE_SLACK, Config as DkimConfig, Entry, Key, Lock, Pair, Published,
    Refusal, State, Transit, Which,
};
use crate::cli::daemon::{Daemon, Options, Trouble};
use crate::cli::{Exit, Failure, Outcome, dns, queue};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{QueueEntry, Reloaded};
use crate::queue::Selector;
use crate::units::{Span, Timestamp};
use crate::zone::Record;
use crate::zone::ask::{Ask, Unknown};
use std::io::Write;
use std::net::SocketAddr;

/// Takes the next step from one DKIM key to the next. The first call makes the new key and prints its record; once DNS
/// has that, the next call has the new key sign and the old one retire; once no mail with the old signature is on its
/// way, the call after that says that the old record may go. A step that would do harm is refused, with the reason and
/// what to do.
///
/// The running daemon is told. Ends with 0 where a step was taken, with 65 where one is refused until something is
/// changed, with 75 where it is only too early or DNS does not answer.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    /// The domain that signs, as [[dkim]] has it.
    #[arg(long)]
    domain: String,
    /// The selector of one of its keys, where it has several.
    #[arg(long)]
    selector: Option<String>,
    /// The tenant whose key it is, where it is one's.
    #[arg(long)]
    tenant: Option<String>,
    /// The selector of the new key; without it the old one's with the next number.
    #[arg(long, value_name = "SELECTOR")]
    new_selector: Option<String>,
    /// Only go on with a rotation that is under way: for scripts that are run every day.
    #[arg(long = "continue")]
    only_continue: bool,
    /// The name server to ask, in place of the configuration's.
    #[arg(long, value_name = "IP:PORT")]
    nameserver: Option<SocketAddr>,
}

const EXAMPLE: &str = "\
Example:
  mailwright dkim rotate --domain acme.example             a new key, and the record to publish
  mailwright dkim rotate --domain acme.example             the record is there: the new key signs
  mailwright dkim rotate --domain acme.example --continue  days later: the old record may go";

/// What a step has at hand.
struct Desk<'a> {
    args: &'a Args,
    config: Config,
    book: Book,
    lock: Lock,
    now: Timestamp,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let config = args.options.config()?;
    let lock = Book::lock(&config.data_dir).map_err(unusable)?;
    let desk = Desk {
        args,
        book: Book::load(&config.data_dir).map_err(unusable)?,
        lock,
        now: Clock::machine().now(),
        config,
    };
    let which = Which {
        domain: args.domain.clone(),
        tenant: args.tenant.clone(),
        selector: args.selector.clone(),
    };
    let pair = Pair::find(&desk.book, &desk.config.dkim, &which).map_err(refused)?;
    match pair.other.as_ref().map(|other| other.state) {
        Some(State::Published) => desk.activate(&pair, out),
        Some(_) => desk.remove(&pair, out),
        None => desk.begin(&pair, out),
    }
}

impl Desk<'_> {
    fn begin(mut self, pair: &Pair, out: &mut dyn Write) -> Outcome {
        if self.args.only_continue {
            return Err(refused(Refusal::Idle(pair.active.domain.clone())));
        }
        let order = Begin {
            dir: Book::dir(&self.config.data_dir),
            selector: self.new_selector()?,
        };
        self.forget();
        let before = self.book.clone();
        let begun = pair.begin(&mut self.book, &self.config.dkim, &order, self.now);
        let (entry, public) = begun.map_err(refused)?;
        if let Err(failure) = self.commit(&before) {
            // Nothing names the key.
            let _gone = std::fs::remove_file(&entry.key);
            return Err(failure);
        }
        let name = record_name(&entry);
        writeln!(
            out,
            "; publish this record, and leave that of {} where it is",
            pair.active.selector
        )?;
        writeln!(out, "{}", Record::txt(name, public.text()))?;
        Ok(writeln!(
            out,
            "; then call this command again: {} signs once DNS has it",
            entry.selector
        )?)
    }

    fn activate(mut self, pair: &Pair, out: &mut dyn Write) -> Outcome {
        let Some(next) = &pair.other else {
            return Ok(());
        };
        let (seen, line) = look(&self.config, self.args.nameserver, next)?;
        let before = self.book.clone();
        pair.activate(&mut self.book, seen, line, self.now)
            .map_err(refused)?;
        self.commit(&before)?;
        let (old, new) = (&pair.active.selector, &next.selector);
        writeln!(out, "{new} signs from now on, {old} retires")?;
        let until = self.free_at(&pair.active);
        Ok(writeln!(
            out,
            "leave the record of {old} in DNS until this command lets it go, not before {until}"
        )?)
    }

    fn remove(mut self, pair: &Pair, out: &mut dyn Write) -> Outcome {
        let Some(old) = &pair.other else {
            return Ok(());
        };
        let mut transit = Transit {
            longest_life: longest_life(&self.config),
            queued: Vec::new(),
        };
        // A large queue takes long to look through, which a date may make needless.
        if self.now >= old.free_at(transit.longest_life) {
            transit.queued = self.queued(old)?;
        }
        let before = self.book.clone();
        let removed = pair.remove(&mut self.book, &transit, self.now);
        if let Err(refusal) = removed {
            // When mail was seen in the queue is kept.
            self.book
                .save(&self.config.data_dir, &self.lock)
                .map_err(unusable)?;
            return Err(refused(refusal));
        }
        self.commit(&before)?;
        writeln!(
            out,
            "nothing needs {} any more: take its record out of DNS",
            record_name(old)
        )?;
        if self.config.dkim.iter().any(|config| old.is(config)) {
            writeln!(out, "and its [[dkim]] entry out of the configuration")?;
        }
        self.forget();
        self.book
            .save(&self.config.data_dir, &self.lock)
            .map_err(unusable)
    }

    /// Writes the book and has the daemon take it over; where it does not, the book is `before` again. A daemon that
    /// does not run takes it over when it starts.
    fn commit(&self, before: &Book) -> Outcome {
        self.book
            .save(&self.config.data_dir, &self.lock)
            .map_err(unusable)?;
        let daemon = Daemon::of(&self.args.options, &self.config)?;
        match daemon.post::<Reloaded>("/api/v1/reload", &()) {
            Ok(_) => Ok(()),
            Err(Trouble::Nobody(why)) => {
                eprintln!("{why}; it takes the keys over when it starts");
                Ok(())
            }
            Err(Trouble::Failed(failure)) => {
                before
                    .save(&self.config.data_dir, &self.lock)
                    .map_err(unusable)?;
                let message = format!("nothing was changed: {}", failure.message);
                Err(Failure::new(failure.exit, message))
            }
        }
    }

    /// Forgets keys that are over, and deletes those that rotations made.
    fn forget(&mut self) {
        let files = self.book.forget(&self.config.dkim, &self.config.data_dir);
        for file in files {
            if let Err(error) = std::fs::remove_file(&file) {
                eprintln!("{}: {error}", file.display());
            }
        }
    }

    /// Messages in the queue that the old key may have signed.
    fn queued(&self, old: &Entry) -> Result<Vec<String>, Failure> {
        let which = Selector {
            tenant: old.tenant.clone(),
            ..Selector::default()
        };
        let listed = queue::listed(&self.args.options, &self.config, &which, usize::MAX)?;
        let last = old.since + CHANGE_SLACK.0;
        let signed = listed
            .entries
            .into_iter()
            .filter(|entry: &QueueEntry| entry.received <= last);
        let mut ids: Vec<String> = signed.map(|entry| entry.id).collect();
        ids.dedup();
        Ok(ids)
    }

    fn free_at(&self, old: &Entry) -> Timestamp {
        let retiring = Entry {
            since: self.now,
            ..old.clone()
        };
        retiring.free_at(longest_life(&self.config))
    }

    fn new_selector(&self) -> Result<Option<String>, Failure> {
        let Some(selector) = &self.args.new_selector else {
            return Ok(None);
        };
        super::check(&self.args.domain, selector)?;
        Ok(Some(selector.clone()))
    }
}

/// What DNS has for a key, and the line that it should have.
pub fn look(
    config: &Config,
    nameserver: Option<SocketAddr>,
    entry: &Entry,
) -> Result<(Published, String), Failure> {
    let ask = dns::ask(config, nameserver)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(compare(&ask, &entry.config()))
}

pub async fn compare(ask: &Ask, key: &DkimConfig) -> Result<(Published, String), Failure> {
    let public = Key::load(&key.key)
        .map_err(|error| refused(error.into()))?
        .public()
        .clone();
    let name = format!("{}._domainkey.{}", key.selector, key.domain);
    match ask.texts(&name).await {
        Ok(answer) => {
            let line = Record::txt(name, public.text()).to_string();
            Ok((Published::of(&answer.data, &public), line))
        }
        Err(Unknown(why)) => Err(refused(Refusal::Unanswered(name, why))),
    }
}

/// How long any mail may stay in the queue.
pub fn longest_life(config: &Config) -> Span {
    let routes = config.route.iter().filter_map(|route| route.retry.as_ref());
    let lives = routes.map(|retry| retry.expire);
    lives.fold(config.retry.expire, Span::max)
}

fn record_name(entry: &Entry) -> String {
    format!("{}._domainkey.{}", entry.selector, entry.domain)
}

pub fn refused(refusal: Refusal) -> Failure {
    let exit = if refusal.is_temporary() {
        Exit::TemporaryFailure
    } else {
        Exit::Data
    };
    Failure::new(exit, format!("{refusal}\n    {}", refusal.remedy()))
}

pub fn unusable(error: BookError) -> Failure {
    let exit = match error {
        BookError::Locked => Exit::TemporaryFailure,
        BookError::File(..) => Exit::Io,
        BookError::Shape(..) => Exit::Data,
    };
    Failure::new(exit, error.to_string())
}
