//! How others see us, put together.

use super::{Ground, StartError};
use crate::config::Config;
use crate::dns::Resolver;
use crate::outside::{Outside, Parts, What};
use crate::tls::server::ServerTls;
use std::sync::Arc;
use tokio::runtime::Handle;

impl Ground {
    pub(super) fn outside(
        &self,
        config: &Config,
        resolver: Resolver,
        certificates: Vec<Arc<ServerTls>>,
    ) -> Result<Outside, StartError> {
        let outside = Outside::recall(Parts {
            settings: Arc::clone(&self.lives.outside),
            resolver,
            clock: self.clock.clone(),
            store: self.store.clone(),
            events: self.events.clone(),
            warmup: self.policy.warmup().clone(),
            certificates,
            node: config.hostname.clone(),
        });
        let outside = Handle::current().block_on(outside)?;
        self.outside_gauges(&outside);
        Ok(outside)
    }

    fn outside_gauges(&self, outside: &Outside) {
        let known = outside.known().clone();
        self.metrics.gauges(
            "outside_faults",
            "What others see wrong with our sources, domains and the lists that are asked",
            ["what", "subject", "zone"],
            move || {
                let faults = known.book().faults.into_iter();
                let fault = |fault: crate::outside::Fault| {
                    let zone = fault.subject.zone.unwrap_or_default();
                    let name = fault.subject.name;
                    (
                        [
                            What::name(fault.subject.what).into(),
                            name.into(),
                            zone.into(),
                        ],
                        1.0,
                    )
                };
                faults.map(fault).collect()
            },
        );
        let known = outside.known().clone();
        self.metrics.gauges(
            "certificate_expires_seconds",
            "When a certificate that we show expires, in seconds since 1970",
            ["file"],
            move || {
                let certificates = known.book().certificates.into_iter();
                let expires = |one: crate::outside::Certificate| {
                    ([one.file.into()], one.expires.as_secs() as f64)
                };
                certificates.map(expires).collect()
            },
        );
    }
}
