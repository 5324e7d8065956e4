//! What a reload swaps: built whole from a configuration, or not at all.

use crate::auth::alignment;
use crate::auth::credentials::Tenants;
use crate::auth::dkim::{Book, Signers};
use crate::auth::token_keys;
use crate::bounce;
use crate::bounce::rules::Classifier;
use crate::bounce::stamps::Stamps;
use crate::config::Config;
use crate::delivery::{Parts, Routing};
use crate::inbound::{self, Addresses};
use crate::intake;
use crate::lint;
use crate::outside;
use crate::policy;
use crate::problem::Problems;
use crate::reports;
use crate::smtp::codec::LineEndings;
use crate::smtp::session::Limits;
use crate::tlsrpt;
use crate::units::Live;
use arc_swap::ArcSwap;
use std::path::Path;
use std::sync::Arc;

/// The parts of a configuration that are compiled, with the files they name read.
pub struct Compiled {
    routing: Routing,
    signers: Signers,
    tenants: Tenants,
    intake: intake::Config,
    lint: lint::Settings,
    alignment: alignment::Settings,
    bounce: bounce::Config,
    stamps: Stamps,
    classifier: Classifier,
    limits: Limits,
    inbound: inbound::Config,
    inbound_limits: Limits,
    addresses: Addresses,
    reported: reports::Settings,
    outside: outside::Settings,
    tls_reports: tlsrpt::config::Config,
}

/// The same parts as the running daemon shares them.
#[derive(Clone)]
pub struct Lives {
    pub routing: Live<Routing>,
    pub signers: Live<Signers>,
    pub tenants: Live<Tenants>,
    pub intake: Live<intake::Config>,
    pub lint: Live<lint::Settings>,
    pub alignment: Live<alignment::Settings>,
    pub bounce: Live<bounce::Config>,
    pub stamps: Live<Stamps>,
    pub classifier: Live<Classifier>,
    pub limits: Live<Limits>,
    pub inbound: Live<inbound::Config>,
    pub inbound_limits: Live<Limits>,
    pub addresses: Live<Addresses>,
    pub reported: Live<reports::Settings>,
    pub outside: Live<outside::Settings>,
    pub tls_reports: Live<tlsrpt::config::Config>,
}

impl Compiled {
    /// Reads keys and credentials and compiles the routing; what policy decides by comes beside it.
    ///
    /// # Errors
    /// Everything that is wrong with the files a valid configuration names.
    pub fn new(config: &Config) -> Result<(Self, policy::Settings), Problems> {
        // The paths of a configuration that was read from a file are whole already.
        let base = Path::new("");
        let signers = signers(config, base);
        let tenants = Tenants::load(&config.tenant, base);
        let settings = config.policy();
        let keys = token_keys::load(&config.return_path, &config.data_dir, base);
        let classifier = Classifier::with(&config.bounce_rule);
        let outside = config.outside();
        let (signers, tenants, settings, keys, classifier, outside) =
            match (signers, tenants, settings, keys, classifier, outside) {
                (Ok(signers), Ok(tenants), Ok(settings), Ok(keys), Ok(classifier), Ok(outside)) => {
                    (signers, tenants, settings, keys, classifier, outside)
                }
                (signers, tenants, settings, keys, classifier, outside) => {
                    let mut problems = signers.err().unwrap_or_default();
                    problems.0.extend(tenants.err().unwrap_or_default().0);
                    problems.0.extend(classifier.err().unwrap_or_default().0);
                    problems.0.extend(settings.err().unwrap_or_default().0);
                    problems.0.extend(keys.err().unwrap_or_default().0);
                    problems.0.extend(outside.err().unwrap_or_default().0);
                    return Err(problems);
                }
            };
        let compiled = Self {
            routing: Routing::new(Parts {
                delivery: &config.delivery,
                retry: &config.retry,
                routes: &config.route,
            }),
            signers,
            tenants,
            intake: config.intake.clone(),
            lint: config.lint(),
            alignment: config.alignment(),
            bounce: config.bounce.clone(),
            stamps: config.stamps(keys),
            classifier,
            limits: Limits {
                max_message_size: config.intake.max_message,
                ..config.smtp.clone()
            },
            inbound: config.inbound.clone(),
            inbound_limits: inbound_limits(config),
            addresses: config.addresses(),
            reported: config.reported(),
            outside,
            tls_reports: config.reports.tls.clone(),
        };
        Ok((compiled, settings))
    }
}

impl Lives {
    pub fn new(compiled: Compiled) -> Self {
        fn live<T>(value: T) -> Live<T> {
            Arc::new(ArcSwap::from_pointee(value))
        }
        Self {
            routing: live(compiled.routing),
            signers: live(compiled.signers),
            tenants: live(compiled.tenants),
            intake: live(compiled.intake),
            lint: live(compiled.lint),
            alignment: live(compiled.alignment),
            bounce: live(compiled.bounce),
            stamps: live(compiled.stamps),
            classifier: live(compiled.classifier),
            limits: live(compiled.limits),
            inbound: live(compiled.inbound),
            inbound_limits: live(compiled.inbound_limits),
            addresses: live(compiled.addresses),
            reported: live(compiled.reported),
            outside: live(compiled.outside),
            tls_reports: live(compiled.tls_reports),
        }
    }

    /// Takes over a new configuration. Whoever decided something with the old one a moment ago keeps that decision.
    pub fn swap(&self, compiled: Compiled) {
        self.routing.store(Arc::new(compiled.routing));
        self.signers.store(Arc::new(compiled.signers));
        self.tenants.store(Arc::new(compiled.tenants));
        self.intake.store(Arc::new(compiled.intake));
        self.lint.store(Arc::new(compiled.lint));
        self.alignment.store(Arc::new(compiled.alignment));
        self.bounce.store(Arc::new(compiled.bounce));
        self.stamps.store(Arc::new(compiled.stamps));
        self.classifier.store(Arc::new(compiled.classifier));
        self.limits.store(Arc::new(compiled.limits));
        self.inbound.store(Arc::new(compiled.inbound));
        self.inbound_limits.store(Arc::new(compiled.inbound_limits));
        self.addresses.store(Arc::new(compiled.addresses));
        self.reported.store(Arc::new(compiled.reported));
        self.outside.store(Arc::new(compiled.outside));
        self.tls_reports.store(Arc::new(compiled.tls_reports));
    }
}

/// The keys that sign, by the configuration and by the book of rotations.
fn signers(config: &Config, base: &Path) -> Result<Signers, Problems> {
    let book = Book::load(&config.data_dir).map_err(|error| {
        let mut problems = Problems::default();
        let remedy = "mend the file, or take it away where no rotation is under way";
        problems.add("data_dir", error.to_string(), remedy);
        problems
    })?;
    Signers::load(&config.dkim, book, base)
}

/// Limits of who brings back mail. Its content is read and never sent on, so that what is broken in it may be mended.
fn inbound_limits(config: &Config) -> Limits {
    let inbound = &config.inbound;
    Limits {
        max_message_size: inbound.max_message,
        max_recipients: inbound.max_recipients,
        max_connections: inbound.max_connections,
        max_connections_per_address: inbound.max_connections_per_address,
        line_endings: LineEndings::Fix,
        accept_undeclared_8bit: true,
        ..config.smtp.clone()
    }
}
