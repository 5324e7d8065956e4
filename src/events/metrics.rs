//! Prometheus metrics from the same events, and gauges that are asked when `/metrics` is.

use super::{Event, Sink};
use crate::mail::{BounceClass, Disposition};
use crate::units::Timestamp;
use parking_lot::{Mutex, RwLock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// The metrics of one node. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    registry: Mutex<Registry>,
    messages: Family<Labels, Counter>,
    bytes: Family<Kind, Counter>,
    latency: Histogram,
    duplicates: Counter,
    tenants: Names,
}

/// Labels of the message counter; all of bounded number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    r#type: &'static str,
    class: &'static str,
    tenant: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    r#type: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let shared = Shared {
            registry: Mutex::new(Registry::with_prefix("mailwright")),
            messages: Family::default(),
            bytes: Family::default(),
            latency: Histogram::new(exponential_buckets(0.01, 4.0, 13)),
            duplicates: Counter::default(),
            tenants: Names::default(),
        };
        shared.register();
        Self(Arc::new(shared))
    }

    /// Shows `value()` as the gauge `mailwright_NAME` whenever the metrics are asked for. It must not block.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let asked = Asked {
            name,
            help,
            value: Box::new(value),
        };
        let mut registry = self.0.registry.lock();
        registry.register_collector(Box::new(asked));
    }

    /// Shows `value()`, which only grows, as the counter `mailwright_NAME_total`. It must not block.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        value: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let asked = AskedCount {
            name,
            help,
            value: Box::new(value),
        };
        let mut registry = self.0.registry.lock();
        registry.register_collector(Box::new(asked));
    }

    /// Shows the gauge `mailwright_NAME` once for each of `values()`, which come with the values of `labels`. The number
    /// of them must be bounded, and it must not block.
    pub fn gauges<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        values: impl Fn() -> Vec<([Arc<str>; N], f64)> + Send + Sync + 'static,
    ) {
        let asked = AskedOfEach {
            name,
            help,
            labels,
            values: Box::new(values),
        };
        let mut registry = self.0.registry.lock();
        registry.register_collector(Box::new(asked));
    }

    /// A counter `mailwright_NAME_total` for each value of one label.
    pub fn counters(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
    ) -> Counters {
        let family = Family::default();
        let mut registry = self.0.registry.lock();
        registry.register(name, help, family.clone());
        Counters { label, family }
    }

    /// The OpenMetrics text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.0.registry.lock();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
            tracing::error!(%error, "metrics could not be rendered");
        }
        text
    }
}

/// Counts of what is no event. Cheap to clone.
#[derive(Clone)]
pub struct Counters {
    label: &'static str,
    family: Family<Vec<(&'static str, &'static str)>, Counter>,
}

impl Counters {
    /// One more of these; the values are of bounded number, being written in our code.
    pub fn count(&self, value: &'static str) {
        self.family.get_or_create(&vec![(self.label, value)]).inc();
    }

    /// How many there were.
    pub fn get(&self, value: &'static str) -> u64 {
        self.family.get_or_create(&vec![(self.label, value)]).get()
    }
}

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Shared {
    fn register(&self) {
        let mut registry = self.registry.lock();
        registry.register(
            "messages",
            "Events about recipients, by type, bounce class and tenant",
            self.messages.clone(),
        );
        registry.register(
            "message_bytes",
            "Octets of messages accepted and delivered, once a recipient",
            self.bytes.clone(),
        );
        registry.register(
            "delivery_latency_seconds",
            "From acceptance to delivery of a recipient",
            self.latency.clone(),
        );
        registry.register(
            "possible_duplicates",
            "Recipients that may have got a message twice, after an unclean stop",
            self.duplicates.clone(),
        );
    }

    fn count(&self, event: &Event, class: Option<BounceClass>, tenant: Option<&str>) {
        let labels = Labels {
            r#type: event.kind(),
            class: class.map_or("", BounceClass::name),
            tenant: self.tenants.known(tenant.unwrap_or_default()),
        };
        self.messages.get_or_create(&labels).inc();
    }

    fn count_bytes(&self, event: &Event, size: u64) {
        let kind = Kind {
            r#type: event.kind(),
        };
        self.bytes.get_or_create(&kind).inc_by(size);
    }
}

impl Sink for Metrics {
    fn take(&self, _at: Timestamp, event: &Event) {
        let shared = &self.0;
        match event {
            Event::Accepted { about, .. } => {
                shared.count(event, None, about.labels.tenant.as_deref());
                shared.count_bytes(event, about.size);
            }
            Event::Rejected { tenant, .. } | Event::Suppressed { tenant, .. } => {
                shared.count(event, None, tenant.as_deref())
            }
            Event::Returned { about, finding, .. } => {
                shared.count(event, Some(finding.class), about.labels.tenant.as_deref());
            }
            Event::Held { about, .. }
            | Event::Released { about, .. }
            | Event::Complained { about, .. }
            | Event::Unsubscribed { about, .. } => {
                shared.count(event, None, about.labels.tenant.as_deref());
            }
            Event::Outcome {
                about,
                attempt,
                disposition,
            } => {
                let class = match disposition {
                    Disposition::Bounced { finding, .. } => Some(finding.class),
                    _ => None,
                };
                shared.count(event, class, about.labels.tenant.as_deref());
                if attempt.possible_duplicate && disposition.is_final() {
                    shared.duplicates.inc();
                }
                if let Disposition::Delivered(_) = disposition {
                    shared.count_bytes(event, about.size);
                    shared.latency.observe(attempt.latency.as_secs_f64());
                }
            }
            Event::Unread { .. }
            | Event::Warmup { .. }
            | Event::Breaker { .. }
            | Event::Reputation { .. }
            | Event::Report { .. }
            | Event::Tls { .. }
            | Event::Dkim { .. }
            | Event::Outside { .. }
            | Event::Config { .. } => shared.count(event, None, None),
        }
    }
}

/// Names used as label values. Clients choose some of them, so their number is kept bounded.
#[derive(Default)]
struct Names(RwLock<HashSet<Arc<str>>>);

/// Names beyond this many are counted as `other`.
const MOST_NAMES: usize = 1_000;

impl Names {
    fn known(&self, name: &str) -> Arc<str> {
        let name: &str = &escaped(name);
        if let Some(known) = self.0.read().get(name) {
            return known.clone();
        }
        let mut names = self.0.write();
        let name: Arc<str> = match names.len() < MOST_NAMES {
            true => name.into(),
            false => "other".into(),
        };
        names.insert(name.clone());
        name
    }
}

/// A label's value as OpenMetrics writes it: prometheus-client leaves that to us.
fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    Cow::Owned(value.replace('\n', "\\n"))
}

/// A gauge whose value is asked for.
struct Asked {
    name: &'static str,
    help: &'static str,
    value: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("name", &self.name).finish()
    }
}

impl Collector for Asked {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let value = ConstGauge::new((self.value)());
        let metric = encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?;
        value.encode(metric)
    }
}

/// A counter whose value is asked for.
struct AskedCount {
    name: &'static str,
    help: &'static str,
    value: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl std::fmt::Debug for AskedCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("AskedCount");
        text.field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for AskedCount {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let value = ConstCounter::new((self.value)());
        let metric = encoder.encode_descriptor(self.name, self.help, None, MetricType::Counter)?;
        value.encode(metric)
    }
}

/// A gauge of many things, whose values are asked for.
struct AskedOfEach<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    values: Values<N>,
}

/// Each with the values of its labels.
type Values<const N: usize> = Box<dyn Fn() -> Vec<([Arc<str>; N], f64)> + Send + Sync>;

impl<const N: usize> std::fmt::Debug for AskedOfEach<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("AskedOfEach");
        text.field("name", &self.name).finish_non_exhaustive()
    }
}

impl<const N: usize> Collector for AskedOfEach<N> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut metric =
            encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?;
        for (values, number) in (self.values)() {
            let labels = self.labels.iter().zip(&values);
            let labels: Vec<(&str, Cow<'_, str>)> = labels
                .map(|(label, value)| (*label, escaped(value)))
                .collect();
            let of_one = metric.encode_family(&labels)?;
            ConstGauge::new(number).encode(of_one)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn events_become_counts_and_gauges_are_asked() {
        let metrics = Metrics::new();
        let depth = Arc::new(AtomicU64::new(0));
        metrics.gauge("queue_messages", "Messages in the queue", {
            let depth = depth.clone();
            move || depth.load(Ordering::Relaxed) as f64
        });
        metrics.counter("replies_odd", "Replies", || 3);
        let at = Timestamp::default();
        metrics.take(at, &sample::accepted());
        metrics.take(at, &sample::delivered(true));
        metrics.take(at, &sample::bounced(BounceClass::Hard));
        depth.store(7, Ordering::Relaxed);
        let text = metrics.render();
        for line in [
            "mailwright_messages_total{type=\"accepted\",class=\"\",tenant=\"acme\"} 1",
            "mailwright_messages_total{type=\"bounced\",class=\"hard\",tenant=\"acme\"} 1",
            "mailwright_message_bytes_total{type=\"delivered\"} 1234",
            "mailwright_delivery_latency_seconds_count 1",
            "mailwright_possible_duplicates_total 1",
            "mailwright_queue_messages 7.0",
            "mailwright_replies_odd_total 3",
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
    }

    #[test]
    fn a_gauge_of_many_things_is_told_once_for_each() {
        let metrics = Metrics::new();
        metrics.gauges("warmup_cap", "Caps", ["source", "provider"], || {
            vec![
                (["ip-a".into(), "*".into()], 50.0),
                (["ip-a".into(), "a\"b".into()], 25.0),
            ]
        });
        metrics.gauges("nothing", "Of nothing", ["source"], Vec::new);
        let text = metrics.render();
        assert_eq!(
            text.matches("# TYPE mailwright_warmup_cap gauge").count(),
            1
        );
        for line in [
            "mailwright_warmup_cap{source=\"ip-a\",provider=\"*\"} 50.0\n",
            "mailwright_warmup_cap{source=\"ip-a\",provider=\"a\\\"b\"} 25.0\n",
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
    }

    #[test]
    fn a_name_of_a_clients_choosing_stays_within_its_quotes() {
        let names = Names::default();
        assert_eq!(&*names.known("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn the_number_of_tenant_labels_is_bounded() {
        let names = Names::default();
        for i in 0..5_000 {
            names.known(&format!("t{i}"));
        }
        assert_eq!(names.known("t4999").as_ref(), "other");
        assert_eq!(names.known("t3").as_ref(), "t3");
        assert!(names.0.read().len() <= MOST_NAMES + 1);
    }
}
